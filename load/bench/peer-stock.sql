-- The same tables as orders and inventory in one database, for pgbench: `inventory` is a schema here, so that one transaction can reach both.
INSERT INTO inventory.stock (tenant, sku, on_hand, reserved, version) SELECT 'default', 'S' || n, 1000000000, 0, 1 FROM generate_series(1, 16) AS n;
