"""What is done about each topic. A handler may run more than once for a message, so its effect must bear that."""

import smtplib
from collections.abc import Callable, Mapping
from email.message import EmailMessage
from uuid import UUID

from app.core.database import TROUBLE, Database
from app.core.settings import Settings
from app.repositories.messages import Due
from app.services import exports
from app.worker.webhook import Webhook, WebhookAwayError, WebhookError

Handler = Callable[[Due], None]

_SMTP_SECONDS = 3.0  # below the time that the surrounding transaction may take


class HandlingError(Exception):
    """Acting on a message failed; it is tried again later."""


class PostponedError(Exception):
    """A message was not even tried; it comes again by itself, and this attempt does not count."""


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
            exports.build(database, UUID(message.payload["id"]), message.trace)
        except TROUBLE as error:
            raise HandlingError(f"export {message.payload['id']}: {error}") from error

    return {"user.created": welcome, exports.TOPIC: export, exports.FINISHED: _told(settings)}


def _told(settings: Settings) -> Handler:
    """Tells whoever wants to know what has happened."""
    webhook = None
    if settings.webhook_url is not None and settings.webhook_key_file is not None:
        webhook = Webhook(settings.webhook_url, settings.webhook_key_file)

    def tell(message: Due) -> None:
        if webhook is None:
            return  # nobody wants to know
        try:
            webhook.send(f"{message.topic}-{message.id}", {"type": message.topic, "data": message.payload})
        except WebhookAwayError as error:
            raise PostponedError(str(error)) from error
        except WebhookError as error:
            raise HandlingError(str(error)) from error

    return tell
