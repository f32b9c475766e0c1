import pytest
import yaml


@pytest.fixture
def evaluate(tmp_path, promtool):
    """Checks what expressions come to by some rules, over series that are made up."""

    def check(groups, series, expected, *, at, every):
        (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [group.to_manifest() for group in groups]}))
        tests = {
            "rule_files": ["rules.yaml"],
            "evaluation_interval": every,
            "tests": [
                {
                    "interval": every,
                    "input_series": [{"series": name, "values": values} for name, values in series.items()],
                    "promql_expr_test": [
                        {
                            "expr": expression,
                            "eval_time": at,
                            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
                        }
                        for expression, samples in expected.items()
                    ],
                }
            ],
        }
        (tmp_path / "test.yaml").write_text(yaml.safe_dump(tests))
        answer = promtool(tmp_path, "test", "rules", "test.yaml")
        assert answer.returncode == 0, answer.stdout + answer.stderr

    return check
