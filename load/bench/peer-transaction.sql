\set s random(1, 16)
SELECT gen_random_uuid() AS id \gset
BEGIN;
INSERT INTO idempotency_keys (tenant, customer_id, key, fingerprint, order_id, created_at) VALUES ('default', '01936f3e-0a11-7c55-8f00-7d3c2b1a0f42', :id::text, repeat('f', 64), :id::uuid, now());
INSERT INTO orders (order_id, tenant, customer_id, state, version, total_minor, currency, correlation_id, traceparent, idempotency_key, created_at, updated_at) VALUES (:id::uuid, 'default', '01936f3e-0a11-7c55-8f00-7d3c2b1a0f42', 'PENDING', 1, 1250, 'EUR', repeat('c', 32), repeat('t', 55), :id::text, now(), now());
INSERT INTO order_items (order_id, line, sku, quantity, unit_price_minor) VALUES (:id::uuid, 0, 'S' || :s::text, 1, 1250);
INSERT INTO outbox (id, topic, partition_key, sequence, event_type, headers, envelope) VALUES (gen_random_uuid(), 'ecommerce.orders', :id::text, 1, 'ecommerce.order.created.v1', repeat('h', 220), repeat('e', 640));
UPDATE inventory.stock SET reserved = reserved + 1, version = version + 1 WHERE tenant = 'default' AND sku = 'S' || :s::text AND on_hand - reserved >= 1 RETURNING version AS level_version, on_hand AS level_on_hand, reserved AS level_reserved \gset
INSERT INTO inventory.ledger (tenant, sku, version, delta_on_hand, delta_reserved, on_hand, reserved, cause, order_id, at) VALUES ('default', 'S' || :s::text, :level_version::bigint, 0, 1, :level_on_hand::bigint, :level_reserved::bigint, 'RESERVE', :id::uuid, now());
INSERT INTO inventory.reservations (order_id, tenant, state, version, lines, updated_at) VALUES (:id::uuid, 'default', 'RESERVED', 1, '[{"sku":"S1","quantity":1}]', now());
INSERT INTO inventory.outbox (id, topic, partition_key, sequence, event_type, headers, envelope) VALUES (gen_random_uuid(), 'ecommerce.stock', :id::text, 1, 'ecommerce.stock.reserved.v1', repeat('h', 220), repeat('e', 520));
UPDATE orders SET state = 'RESERVED', version = 2, updated_at = now() WHERE order_id = :id::uuid AND version = 1;
UPDATE idempotency_keys SET status = 201, answer = repeat('a', 316) WHERE tenant = 'default' AND customer_id = '01936f3e-0a11-7c55-8f00-7d3c2b1a0f42' AND key = :id::text;
INSERT INTO outbox (id, topic, partition_key, sequence, event_type, headers, envelope) VALUES (gen_random_uuid(), 'ecommerce.orders', :id::text, 2, 'ecommerce.order.reserved.v1', repeat('h', 220), repeat('e', 640));
COMMIT;
