-- Who claims asks each subscription for its few earliest, however many others wait behind them.
CREATE INDEX deliveries_next ON deliveries (webhook_id, due_at, number) WHERE state = 'PENDING';
DROP INDEX deliveries_due;
