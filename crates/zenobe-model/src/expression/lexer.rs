//! Tokens of the expression language, read on demand and borrowed from the text.
//!
//! Words are ASCII letters, digits and underscores, beginning with a letter; after `#` and `:`
//! anything of these may come first. What is no token is an unknown one of one character, so that
//! the error can name it.

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A word that is no keyword.
    Word,
    /// `#name`
    Name,
    /// `:value`
    Value,
    /// Decimal digits without a leading zero.
    Integer,
    OpenParenthesis,
    CloseParenthesis,
    OpenBracket,
    CloseBracket,
    Dot,
    Comma,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Plus,
    Minus,
    And,
    Or,
    Not,
    Between,
    In,
    Set,
    Remove,
    Add,
    Delete,
    /// A character that begins no token.
    Unknown,
    /// The end of the text.
    End,
}

/// A token: what it is and where it stands, as byte offsets.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// Reads the tokens of a text.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lexer<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    /// The text of a token.
    pub(super) fn text_of(&self, token: Token) -> &'a str {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    /// The next token; at the end of the text always [`TokenKind::End`].
    pub(super) fn next(&mut self) -> Token {
        let rest = self.text.as_bytes().get(self.position..).unwrap_or_default();
        let blanks = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n'));
        let start = self.position + blanks.count();
        let rest = self.text.get(start..).unwrap_or_default();
        let (kind, length) = scan(rest);
        self.position = start + length;
        Token { kind, start, end: self.position }
    }
}

/// The token that a text without leading blanks begins with, and its length.
fn scan(rest: &str) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let Some(&first) = bytes.first() else { return (TokenKind::End, 0) };
    let second = bytes.get(1).copied();
    match first {
        b'a'..=b'z' | b'A'..=b'Z' => {
            let length = 1 + word_length(bytes, 1);
            (keyword(bytes.get(..length).unwrap_or_default()), length)
        }
        b'#' | b':' => match word_length(bytes, 1) {
            0 => (TokenKind::Unknown, 1),
            length if first == b'#' => (TokenKind::Name, 1 + length),
            length => (TokenKind::Value, 1 + length),
        },
        b'0' => (TokenKind::Integer, 1),
        b'1'..=b'9' => {
            let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
            (TokenKind::Integer, length)
        }
        b'(' => (TokenKind::OpenParenthesis, 1),
        b')' => (TokenKind::CloseParenthesis, 1),
        b'[' => (TokenKind::OpenBracket, 1),
        b']' => (TokenKind::CloseBracket, 1),
        b'.' => (TokenKind::Dot, 1),
        b',' => (TokenKind::Comma, 1),
        b'+' => (TokenKind::Plus, 1),
        b'-' => (TokenKind::Minus, 1),
        b'=' => (TokenKind::Equal, 1),
        b'<' if second == Some(b'>') => (TokenKind::NotEqual, 2),
        b'<' if second == Some(b'=') => (TokenKind::LessOrEqual, 2),
        b'<' => (TokenKind::Less, 1),
        b'>' if second == Some(b'=') => (TokenKind::GreaterOrEqual, 2),
        b'>' => (TokenKind::Greater, 1),
        _ => (TokenKind::Unknown, rest.chars().next().map_or(0, char::len_utf8)),
    }
}

fn word_length(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

/// Keywords are keywords in every kind of expression, whatever their case.
fn keyword(word: &[u8]) -> TokenKind {
    const KEYWORDS: [(&[u8], TokenKind); 9] = [
        (b"AND", TokenKind::And),
        (b"OR", TokenKind::Or),
        (b"NOT", TokenKind::Not),
        (b"BETWEEN", TokenKind::Between),
        (b"IN", TokenKind::In),
        (b"SET", TokenKind::Set),
        (b"REMOVE", TokenKind::Remove),
        (b"ADD", TokenKind::Add),
        (b"DELETE", TokenKind::Delete),
    ];
    if !(2..=7).contains(&word.len()) {
        return TokenKind::Word;
    }
    KEYWORDS
        .iter()
        .find(|(keyword, _)| keyword.eq_ignore_ascii_case(word))
        .map_or(TokenKind::Word, |(_, kind)| *kind)
}

/// Whether a whole key of `ExpressionAttributeNames` or `ExpressionAttributeValues` is a token.
pub(super) fn is_placeholder(key: &str, kind: TokenKind) -> bool {
    scan(key) == (kind, key.len())
}
