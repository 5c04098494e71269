CREATE TABLE setting (
    name TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

CREATE TABLE channel (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);

-- What the numbers in message.state mean. Unsettled ones are below 3, so that
-- the partial indexes can tell them by a comparison.
CREATE TABLE state (
    code INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
);
INSERT INTO state VALUES
    (0, 'pending'), (1, 'processing'), (2, 'wait_retry'),
    (3, 'processed'), (4, 'dropped'), (5, 'error'), (6, 'rejected');

-- Narrow rows: a change of state rewrites none of the payload.
CREATE TABLE message (
    seq INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL REFERENCES channel (id),
    lane TEXT NOT NULL,
    state INTEGER NOT NULL REFERENCES state (code),
    ticks INTEGER NOT NULL,
    uuid TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    keep INTEGER NOT NULL,
    size INTEGER NOT NULL
);
CREATE INDEX message_time ON message (channel, ticks);
CREATE INDEX message_open ON message (channel) WHERE state < 3;
CREATE INDEX message_aside ON message (channel, state, ticks) WHERE state > 3;

CREATE TABLE body (
    seq INTEGER PRIMARY KEY,
    data BLOB NOT NULL,
    manifest BLOB
);

-- Facts about the outcome (error, node, stack), only where there are any.
CREATE TABLE outcome (
    seq INTEGER PRIMARY KEY,
    meta BLOB NOT NULL
);

-- Closed runs of sequence numbers, so that retention needs no scan.
CREATE TABLE segment (
    first INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    messages INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    opened INTEGER NOT NULL,
    closed INTEGER NOT NULL
);

CREATE TABLE saved (
    namespace TEXT NOT NULL,
    key TEXT NOT NULL,
    value BLOB NOT NULL,
    PRIMARY KEY (namespace, key)
) WITHOUT ROWID;

-- For people who look into the file with a tool of theirs.
CREATE VIEW history AS
SELECT
    message.seq,
    channel.name AS channel,
    message.lane,
    state.name AS state,
    datetime(message.ticks / 10000000, 'unixepoch') AS made,
    message.uuid,
    message.attempts,
    message.size
FROM message
JOIN channel ON channel.id = message.channel
JOIN state ON state.code = message.state;
