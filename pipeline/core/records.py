"""The rows that pass between the stages, as Arrow schemas, so that the types also hold on disk.

Every row has `id`, the first 16 hexadecimal digits of the sha256 of its URL's key, from LINK to
the token index. A schema lists all columns: a column that is not listed is not written.
Times are in milliseconds, the coarsest unit that Parquet has.
"""

import pyarrow as pa

SUBMISSION = pa.struct(
    [
        ("id", pa.string()),  # the source's own, such as Reddit's "t3_..." without its prefix
        ("source", pa.string()),  # base name of the dump or list that it was read from
        ("subreddit", pa.string()),
        ("score", pa.int32()),
        ("created", pa.timestamp("ms", tz="UTC")),
        ("title", pa.string()),
    ]
)

LINK = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),  # as linked, in WHATWG form: the URL that is fetched
        ("domain", pa.string()),  # registrable domain, or the host if there is none
        ("score", pa.int32()),  # merged over the submissions by the recipe's rule; null in lists
        ("submissions", pa.list_(SUBMISSION)),  # every submission of this URL, oldest first
    ]
)

WHY = [
    pa.field("dropped_by", pa.string()),  # "stage.reason"; null if the row is kept
    pa.field("dropped_value", pa.float64()),  # the measure that decided it, if there is one
]

LINK_DROPPED = pa.schema(
    [
        ("id", pa.string()),  # null if no URL could be read
        ("url", pa.string()),
        ("source", pa.string()),
        ("line", pa.int64()),  # line number in the source, from 1
        ("score", pa.int32()),
        *WHY,
    ]
)

OUTCOME = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("domain", pa.string()),
        ("score", pa.int32()),  # with the next two, carried from LINK: what the corpus keeps
        ("subreddit", pa.string()),  # of the submission with the highest score
        ("linked", pa.timestamp("ms", tz="UTC")),  # when it was first linked
        ("final_url", pa.string()),  # after redirects
        ("redirects", pa.list_(pa.string())),  # every URL that answered with a redirect
        ("status", pa.int16()),  # of the last response; null if there was none
        ("content_type", pa.string()),  # the Content-Type header as sent, charset included
        ("robots", pa.string()),  # the rule that decided, or why none was asked
        ("robots_time", pa.timestamp("ms", tz="UTC")),  # when that robots.txt was requested
        ("signals", pa.list_(pa.string())),  # opt-outs that host and page declared
        ("ip", pa.string()),
        ("attempts", pa.int16()),
        ("started", pa.timestamp("ms", tz="UTC")),  # the last request, as are all columns below
        ("first_byte_ms", pa.int32()),  # until the headers were received, connecting included
        ("elapsed_ms", pa.int32()),  # until the body was read, or reading was given up
        ("wire_bytes", pa.int64()),  # of the body as received, with its encodings
        ("body_bytes", pa.int64()),  # of the decoded body; null if it was not read
        ("truncated", pa.string()),  # WARC-Truncated: length, time, disconnect; null if whole
        ("etag", pa.string()),  # with the next, for conditional requests
        ("last_modified", pa.string()),
        ("digest", pa.string()),  # "sha1:..." of the decoded body, as the WARC record has it
        ("warc_file", pa.string()),  # relative to the pages directory, or a path as given
        ("warc_offset", pa.int64()),  # of the response record, in bytes of the file
        ("warc_length", pa.int64()),
        ("revisit", pa.string()),  # why the record holds no payload: its WARC-Profile's last word
        ("payload_file", pa.string()),  # where an earlier crawl archived the payload of a revisit
        ("payload_offset", pa.int64()),
        ("payload_length", pa.int64()),
        *WHY,
    ]
)

PAGE = pa.schema(  # the input of extraction; in memory only
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("domain", pa.string()),
        ("score", pa.int32()),
        ("subreddit", pa.string()),
        ("linked", pa.timestamp("ms", tz="UTC")),
        ("final_url", pa.string()),
        ("content_type", pa.string()),
        ("body", pa.binary()),  # without transfer and content encoding, in its charset
    ]
)

DOCUMENT = pa.schema(
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("domain", pa.string()),
        ("score", pa.int32()),
        ("subreddit", pa.string()),
        ("linked", pa.timestamp("ms", tz="UTC")),
        ("final_url", pa.string()),  # after redirects
        ("title", pa.string()),
        ("author", pa.string()),
        ("date", pa.string()),  # of publication, ISO 8601, as the page states it
        ("sitename", pa.string()),
        ("language", pa.string()),  # ISO 639-1
        ("language_probability", pa.float32()),
        (  # replaced pieces of personal data; null if there was no search for them
            "pii",
            pa.struct([("emails", pa.int32()), ("ips", pa.int32()), ("phones", pa.int32())]),
        ),
        ("text", pa.string()),
    ]
)

DUPLICATE = pa.schema(
    [
        ("id", pa.string()),
        ("cluster", pa.string()),  # smallest id of the cluster
        ("keeper", pa.string()),  # id of the document kept for the cluster
        ("jaccard", pa.float32()),  # measured similarity to the keeper; 1 for the keeper itself
        (
            "reason",
            pa.string(),
        ),  # why it is dropped (`verdicts.REASONS`); null if it is kept
        ("snapshot", pa.string()),  # the earlier snapshot that holds the keeper; null: this one
        (
            "large",
            pa.bool_(),
        ),  # of a cluster above the limit: measured against its keeper only
    ]
)

CORPUS = pa.schema(
    [
        *DOCUMENT,
        ("bytes", pa.int64()),  # of the text in UTF-8
        ("duplicates", pa.int32()),  # documents dropped as copies of this one
    ]
)

CORPUS_DROPPED = pa.schema([*DOCUMENT, ("keeper", pa.string()), *WHY])

TOKENS = pa.schema(  # documents.parquet beside the token shards
    [
        ("id", pa.string()),
        ("url", pa.string()),
        ("split", pa.string()),  # train or val
        ("shard", pa.int32()),  # number in the file's name
        ("start", pa.int64()),  # of the document's <|endoftext|>, in tokens after the header
        ("length", pa.int64()),  # in tokens, the <|endoftext|> included
    ]
)


def with_reasons(schema: pa.Schema) -> pa.Schema:
    """Return `schema` with the two columns that say why a row was dropped."""
    return pa.schema([*schema, *WHY])
