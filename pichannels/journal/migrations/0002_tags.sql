CREATE TABLE tag (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE
);

-- In which run of sequence numbers the messages of a minute name a tag.
CREATE TABLE tag_minute (
    tag INTEGER NOT NULL REFERENCES tag (id),
    minute INTEGER NOT NULL,
    first INTEGER NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (tag, minute)
) WITHOUT ROWID;
