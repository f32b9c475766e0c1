"""`python -m infra.footprint.page` writes docs/reference/footprint.md."""

from infra import releases
from infra.footprint.report import PAGE, render

if __name__ == "__main__":
    PAGE.write_text(render(releases.read), encoding="utf-8")
