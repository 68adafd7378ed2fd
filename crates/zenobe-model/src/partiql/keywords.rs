//! The keywords of PartiQL: words that are no names unless they are quoted.

/// Lower case, sorted.
const KEYWORDS: &str = "absolute action add all allocate alter and any are as asc assertion at \
    authorization avg bag begin between bit bit_length blob bool boolean by cascade cascaded case \
    cast catalog char char_length character character_length check clob close coalesce collate \
    collation column commit conflict connect connection constraint constraints continue convert \
    corresponding count create cross current current_date current_time current_timestamp \
    current_user cursor date date_add date_diff deallocate dec decimal declare default deferrable \
    deferred delete desc describe descriptor diagnostics disconnect distinct do domain double drop \
    else end escape except exception exec execute exists external extract false fetch first float \
    for foreign found from full get global go goto grant group having identity immediate in index \
    indicator initially inner input insensitive insert int integer intersect interval into is \
    isolation join key language last left let level like limit list local lower match max min \
    missing modified module names national natural nchar new next no not nothing null nullif \
    numeric octet_length of old on only open option or order outer output overlaps pad partial \
    pivot position precision prepare preserve primary prior privileges procedure public read real \
    references relative remove restrict returning revoke right rollback rows schema scroll section \
    select session session_user set sexp size smallint some space sql sqlcode sqlerror sqlstate \
    string struct substring sum symbol system_user table temporary then time timestamp to \
    transaction translate translation trim true tuple union unique unknown unpivot update upper \
    usage user using value values varchar varying view when whenever where with work write zone";

/// Keywords that are the names of functions when a parenthesis follows.
const FUNCTIONS: &str = "avg bit_length char_length character_length coalesce count exists lower \
    max min nullif octet_length size substring sum trim upper";

/// Functions over several items.
const AGGREGATES: &str = "avg count max min sum";

fn contains(words: &'static str, word: &str) -> Option<&'static str> {
    words.split_ascii_whitespace().find(|known| known.eq_ignore_ascii_case(word))
}

/// The keyword that a word is, in lower case.
pub(super) fn keyword(word: &str) -> Option<&'static str> {
    contains(KEYWORDS, word)
}

/// Whether a keyword names a function.
pub(super) fn is_function(keyword: &str) -> bool {
    contains(FUNCTIONS, keyword).is_some()
}

/// Whether a name is that of a function over several items.
pub(super) fn is_aggregate(name: &str) -> bool {
    contains(AGGREGATES, name).is_some()
}
