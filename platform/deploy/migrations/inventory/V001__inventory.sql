-- Stock per SKU. A change moves version by exactly one; whoever changes it must have seen the version before (see inventory_apply).
CREATE TABLE stock (
    tenant   text   NOT NULL,
    sku      text   NOT NULL,
    on_hand  bigint NOT NULL,
    reserved bigint NOT NULL,
    version  bigint NOT NULL CHECK (version >= 1),
    PRIMARY KEY (tenant, sku),
    CONSTRAINT stock_never_negative CHECK (reserved >= 0 AND on_hand >= reserved)
) WITH (fillfactor = 70); -- levels change all the time: room for updates in place

-- Append-only. The row of version n carries the level after n changes, so the running sums are checked as they are written, and
-- the primary key makes it impossible that two replicas both make change n.
CREATE TABLE ledger (
    tenant         text        NOT NULL,
    sku            text        NOT NULL,
    version        bigint      NOT NULL CHECK (version >= 1),
    delta_on_hand  bigint      NOT NULL,
    delta_reserved bigint      NOT NULL,
    on_hand        bigint      NOT NULL,
    reserved       bigint      NOT NULL,
    cause          text        NOT NULL CHECK (cause IN ('RESERVE', 'COMMIT', 'RELEASE', 'ADJUST')),
    order_id       uuid,
    reason         text,
    at             timestamptz NOT NULL,
    PRIMARY KEY (tenant, sku, version),
    CONSTRAINT ledger_moves CHECK (delta_on_hand <> 0 OR delta_reserved <> 0),
    CONSTRAINT ledger_never_negative CHECK (reserved >= 0 AND on_hand >= reserved)
);

CREATE FUNCTION ledger_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is append-only';
END $$;
CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuse();

-- What became of an order's reservation. TOMBSTONE: released before it was reserved. version counts the changes of the row.
-- lines: [{"sku", "quantity"}], with "available" where a line fell short.
CREATE TABLE reservations (
    order_id   uuid        PRIMARY KEY,
    tenant     text        NOT NULL,
    state      text        NOT NULL CHECK (state IN ('RESERVED', 'COMMITTED', 'RELEASED', 'TOMBSTONE', 'SOLD_OUT')),
    version    bigint      NOT NULL CHECK (version >= 1),
    lines      text        NOT NULL,
    updated_at timestamptz NOT NULL
) WITH (fillfactor = 80);

-- Answers already given to Adjust.
CREATE TABLE adjustments (
    tenant   text        NOT NULL,
    key      text        NOT NULL,
    sku      text        NOT NULL,
    delta    bigint      NOT NULL,
    reason   text        NOT NULL,
    adjusted boolean     NOT NULL, -- false: it would have gone below zero
    on_hand  bigint      NOT NULL, -- the level after
    reserved bigint      NOT NULL,
    version  bigint      NOT NULL,
    at       timestamptz NOT NULL,
    PRIMARY KEY (tenant, key)
);

CREATE TABLE outbox (
    id            uuid        PRIMARY KEY,
    topic         text        NOT NULL,
    partition_key text        NOT NULL,
    sequence      bigint      NOT NULL,
    event_type    text        NOT NULL,
    headers       text        NOT NULL,
    envelope      text        NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT clock_timestamp() -- the relay publishes in this order: see bv/outbox.h
);
CREATE INDEX outbox_order ON outbox (created_at, sequence);

-- Writes one batch that was decided on levels and reservations as the caller saw them, or nothing.
-- expected: the version seen, 0 for a row that was not there; version equal to expected: was only looked at (sold out), and must
-- still be so. Anything that moved since: serialization_failure or unique_violation.
-- Rows are locked in (tenant, sku) order, so that two batches cannot wait for each other.
CREATE FUNCTION inventory_apply(
    s_tenant text[], s_sku text[], s_expected bigint[], s_on_hand bigint[], s_reserved bigint[], s_version bigint[],
    l_tenant text[], l_sku text[], l_version bigint[], l_delta_on_hand bigint[], l_delta_reserved bigint[], l_on_hand bigint[],
    l_reserved bigint[], l_cause text[], l_order_id uuid[], l_reason text[],
    r_order_id uuid[], r_tenant text[], r_expected bigint[], r_state text[], r_version bigint[], r_lines text[],
    a_tenant text[], a_key text[], a_sku text[], a_delta bigint[], a_reason text[], a_adjusted boolean[], a_on_hand bigint[],
    a_reserved bigint[], a_version bigint[],
    o_id uuid[], o_topic text[], o_partition_key text[], o_sequence bigint[], o_event_type text[], o_headers text[], o_envelope text[],
    written_at timestamptz) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    changed bigint;
    added bigint;
    same bigint := 0;
BEGIN
    IF cardinality(s_sku) > 0 THEN
        PERFORM 1 FROM stock s JOIN unnest(s_tenant, s_sku) AS k (tenant, sku) ON s.tenant = k.tenant AND s.sku = k.sku
            ORDER BY s.tenant, s.sku FOR UPDATE OF s;
        UPDATE stock s SET on_hand = c.on_hand, reserved = c.reserved, version = c.version
            FROM unnest(s_tenant, s_sku, s_expected, s_on_hand, s_reserved, s_version)
                AS c (tenant, sku, expected, on_hand, reserved, version)
            WHERE s.tenant = c.tenant AND s.sku = c.sku AND s.version = c.expected AND c.version > c.expected;
        GET DIAGNOSTICS changed = ROW_COUNT;
        INSERT INTO stock (tenant, sku, on_hand, reserved, version)
            SELECT c.tenant, c.sku, c.on_hand, c.reserved, c.version
            FROM unnest(s_tenant, s_sku, s_expected, s_on_hand, s_reserved, s_version)
                AS c (tenant, sku, expected, on_hand, reserved, version)
            WHERE c.expected = 0;
        GET DIAGNOSTICS added = ROW_COUNT;
        IF changed + added < cardinality(s_sku) THEN
            SELECT count(*) INTO same
                FROM stock s JOIN unnest(s_tenant, s_sku, s_expected, s_version) AS c (tenant, sku, expected, version)
                    ON s.tenant = c.tenant AND s.sku = c.sku
                WHERE s.version = c.expected AND c.version = c.expected;
        END IF;
        IF changed + added + same <> cardinality(s_sku) THEN
            RAISE EXCEPTION 'stock moved since it was read' USING ERRCODE = 'serialization_failure';
        END IF;
        INSERT INTO ledger (tenant, sku, version, delta_on_hand, delta_reserved, on_hand, reserved, cause, order_id, reason, at)
            SELECT l.*, written_at FROM unnest(l_tenant, l_sku, l_version, l_delta_on_hand, l_delta_reserved, l_on_hand, l_reserved,
                l_cause, l_order_id, l_reason) AS l;
    END IF;
    IF cardinality(r_order_id) > 0 THEN
        UPDATE reservations r SET state = c.state, version = c.version, updated_at = written_at
            FROM unnest(r_order_id, r_expected, r_state, r_version) AS c (order_id, expected, state, version)
            WHERE r.order_id = c.order_id AND r.version = c.expected;
        GET DIAGNOSTICS changed = ROW_COUNT;
        INSERT INTO reservations (order_id, tenant, state, version, lines, updated_at)
            SELECT c.order_id, c.tenant, c.state, c.version, c.lines, written_at
            FROM unnest(r_order_id, r_tenant, r_expected, r_state, r_version, r_lines)
                AS c (order_id, tenant, expected, state, version, lines)
            WHERE c.expected = 0;
        GET DIAGNOSTICS added = ROW_COUNT;
        IF changed + added <> cardinality(r_order_id) THEN
            RAISE EXCEPTION 'a reservation moved since it was read' USING ERRCODE = 'serialization_failure';
        END IF;
    END IF;
    IF cardinality(a_key) > 0 THEN
        INSERT INTO adjustments (tenant, key, sku, delta, reason, adjusted, on_hand, reserved, version, at)
            SELECT a.*, written_at FROM unnest(a_tenant, a_key, a_sku, a_delta, a_reason, a_adjusted, a_on_hand, a_reserved, a_version) AS a;
    END IF;
    INSERT INTO outbox (id, topic, partition_key, sequence, event_type, headers, envelope)
        SELECT * FROM unnest(o_id, o_topic, o_partition_key, o_sequence, o_event_type, o_headers, o_envelope);
END $$;
