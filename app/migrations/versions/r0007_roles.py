"""The months of the audit log are made by a function of the owner's, so that who serves need not own tables."""

from alembic import op

revision = "0007"
down_revision = "0006"
PHASE = "expand"

# It runs with the rights of whoever migrated, so it names what it means whole, and does nothing but this one thing.
_MAKE_MONTH = """
CREATE FUNCTION make_audit_month(month date) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    partition constant text := 'audit_log_' || to_char(month, 'YYYY_MM');
    following constant date := month + interval '1 month';
BEGIN
    IF month <> date_trunc('month', month) THEN
        RAISE EXCEPTION 'make_audit_month: % is not the first day of a month', month;
    END IF;
    IF to_regclass('public.' || partition) IS NOT NULL THEN
        RETURN false;
    END IF;
    LOCK TABLE public.audit_log IN SHARE ROW EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE public.%I (LIKE public.audit_log INCLUDING DEFAULTS)', partition);
    EXECUTE format(
        'WITH moved AS (DELETE FROM public.audit_log_rest WHERE at >= $1 AND at < $2'
        ' RETURNING id, at, actor, action, subject, client_ip, request_id)'
        ' INSERT INTO public.%I (id, at, actor, action, subject, client_ip, request_id) SELECT * FROM moved', partition
    ) USING month, following;
    EXECUTE format(
        'ALTER TABLE public.audit_log ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)',
        partition, month, following
    );
    RETURN true;
END
$$
"""


def upgrade() -> None:
    """Apply."""
    op.execute(_MAKE_MONTH)
    op.execute("REVOKE ALL ON FUNCTION make_audit_month(date) FROM PUBLIC")
