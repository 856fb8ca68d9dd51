\set s random(1, 16)
WITH i AS MATERIALIZED (SELECT gen_random_uuid() AS id),
k AS (INSERT INTO idempotency_keys (tenant, customer_id, key, fingerprint, order_id, status, answer, created_at) SELECT 'default', '01936f3e-0a11-7c55-8f00-7d3c2b1a0f42', id::text, repeat('f', 64), id, 201, repeat('a', 316), now() FROM i),
o AS (INSERT INTO orders (order_id, tenant, customer_id, state, version, total_minor, currency, correlation_id, traceparent, idempotency_key, created_at, updated_at) SELECT id, 'default', '01936f3e-0a11-7c55-8f00-7d3c2b1a0f42', 'RESERVED', 2, 1250, 'EUR', repeat('c', 32), repeat('t', 55), id::text, now(), now() FROM i),
t AS (INSERT INTO order_items (order_id, line, sku, quantity, unit_price_minor) SELECT id, 0, 'S' || :s::text, 1, 1250 FROM i),
b AS (INSERT INTO outbox (id, topic, partition_key, sequence, event_type, headers, envelope) SELECT gen_random_uuid(), 'ecommerce.orders', id::text, n, 'ecommerce.order.created.v1', repeat('h', 220), repeat('e', 640) FROM i, generate_series(1, 2) AS n),
u AS (UPDATE inventory.stock SET reserved = reserved + 1, version = version + 1 WHERE tenant = 'default' AND sku = 'S' || :s::text AND on_hand - reserved >= 1 RETURNING version, on_hand, reserved),
l AS (INSERT INTO inventory.ledger (tenant, sku, version, delta_on_hand, delta_reserved, on_hand, reserved, cause, order_id, at) SELECT 'default', 'S' || :s::text, version, 0, 1, on_hand, reserved, 'RESERVE', id, now() FROM u, i),
r AS (INSERT INTO inventory.reservations (order_id, tenant, state, version, lines, updated_at) SELECT id, 'default', 'RESERVED', 1, '[{"sku":"S1","quantity":1}]', now() FROM i)
INSERT INTO inventory.outbox (id, topic, partition_key, sequence, event_type, headers, envelope) SELECT gen_random_uuid(), 'ecommerce.stock', id::text, 1, 'ecommerce.stock.reserved.v1', repeat('h', 220), repeat('e', 520) FROM i;
