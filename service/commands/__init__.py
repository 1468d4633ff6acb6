"""Commands of the command line, in the order in which help lists them."""

from service.commands import (
    audit,
    cohort,
    compact,
    demo,
    export,
    import_,
    keys,
    nlp,
    note,
    reindex,
    serve,
    sql,
    synth,
    timeline,
    token,
    verify,
)

COMMANDS = (
    demo,
    serve,
    import_,
    export,
    note,
    timeline,
    cohort,
    sql,
    nlp,
    synth,
    keys,
    token,
    audit,
    verify,
    reindex,
    compact,
)
