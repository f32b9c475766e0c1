"""What is done about each topic. A handler may run more than once for a message, so its effect must bear that."""

import smtplib
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from uuid import UUID

from app.core.database import TROUBLE, Database
from app.core.settings import Settings
from app.repositories.messages import Due
from app.services import exports

Handler = Callable[[Due], None]

_SMTP_SECONDS = 3.0  # below the time that the surrounding transaction may take


class HandlingError(Exception):
    """Acting on a message failed; it is tried again later."""


def handlers_for(settings: Settings, database: Database) -> Mapping[str, Handler]:
    """Return topic -> handler. A topic that is not here is left for a newer version."""

    def welcome(message: Due) -> None:
        if settings.smtp_host is None:
            return  # an environment without mail: nothing is owed
        mail = EmailMessage()
        mail["From"] = settings.mail_from
        mail["To"] = message.payload["email"]
        mail["Subject"] = "Welcome"
        # The same for every attempt: mail systems drop the second copy.
        mail["Message-ID"] = f"<welcome-{message.id}@payload>"
        mail.set_content(f"Hello {message.payload['name']},\n\nyour account is ready.\n")
        try:
            with smtplib.SMTP(settings.smtp_host, settings.smtp_port, timeout=_SMTP_SECONDS) as server:
                server.send_message(mail)
        except (OSError, smtplib.SMTPException) as error:
            raise HandlingError(f"mail server {settings.smtp_host}:{settings.smtp_port}: {error}") from error

    def export(message: Due) -> None:
        try:
            exports.build(database, UUID(message.payload["id"]))
        except TROUBLE as error:
            raise HandlingError(f"export {message.payload['id']}: {error}") from error

    return {"user.created": welcome, exports.TOPIC: export}
