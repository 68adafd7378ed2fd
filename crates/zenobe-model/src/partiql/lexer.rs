//! Tokens of PartiQL, each with its place in the text.

use std::fmt;

use super::{Refusal, keywords};

/// Where a token stands: line and column count from 1, the column and the length in characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) length: usize,
}

/// As error texts have it: ` at 1:8:5`.
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, " at {}:{}:{}", self.line, self.column, self.length)
    }
}

/// What a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// A name, quoted or not.
    Identifier(String),
    /// A keyword in lower case.
    Keyword(&'static str),
    /// `'text'`
    Text(String),
    /// A number as it is written.
    Number(String),
    /// An Ion literal between backticks; the name of its type.
    Ion(&'static str),
    /// `?`
    Parameter,
    /// Punctuation or an operator.
    Symbol(&'static str),
    /// The end of the text.
    End,
}

/// A token and its place.
#[derive(Clone, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) span: Span,
}

/// Longer ones first.
const SYMBOLS: [&str; 28] = [
    "<<", ">>", "<>", "!=", "<=", ">=", "||", "(", ")", "[", "]", "{", "}", ",", ":", ";", ".",
    "*", "=", "<", ">", "+", "-", "/", "%", "@", "?", "^",
];

/// The tokens of a text, the last of them [`TokenKind::End`].
pub(super) fn tokens(text: &str) -> Result<Vec<Token>, Refusal> {
    let mut lexer = Lexer { rest: text, line: 1, column: 1 };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks()?;
        let (line, column) = (lexer.line, lexer.column);
        let before = lexer.rest;
        let kind = lexer.next()?;
        let read = before.get(..before.len() - lexer.rest.len()).unwrap_or_default();
        let length = read.chars().count();
        let end = kind == TokenKind::End;
        tokens.push(Token { kind, span: Span { line, column, length } });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    line: usize,
    column: usize,
}

/// What is no token: the service gives no detail.
fn unreadable() -> Refusal {
    Refusal::malformed("")
}

impl<'a> Lexer<'a> {
    /// Takes `bytes` bytes off the text.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at_checked(bytes).unwrap_or((self.rest, ""));
        for character in taken.chars() {
            if character == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.rest = rest;
        taken
    }

    fn skip_blanks(&mut self) -> Result<(), Refusal> {
        loop {
            let blanks = self.rest.len() - self.rest.trim_start_matches(is_blank).len();
            if blanks > 0 {
                self.take(blanks);
            } else if self.rest.starts_with("--") {
                let end = self.rest.find('\n').unwrap_or(self.rest.len());
                self.take(end);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                let end = comment.find("*/").ok_or_else(unreadable)?;
                self.take(end + 4);
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<TokenKind, Refusal> {
        let bytes = self.rest.as_bytes();
        let second_is_digit = bytes.get(1).is_some_and(u8::is_ascii_digit);
        match bytes.first() {
            None => Ok(TokenKind::End),
            Some(b'\'') => self.quoted('\'').map(TokenKind::Text),
            Some(b'"') => self.quoted('"').map(TokenKind::Identifier),
            Some(b'`') => self.ion(),
            Some(b'0'..=b'9') => self.number(),
            Some(b'.') if second_is_digit => self.number(),
            Some(b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$') => Ok(self.word()),
            Some(_) => self.symbol(),
        }
    }

    fn word(&mut self) -> TokenKind {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$');
        let length = self.rest.bytes().take_while(|byte| is_part(byte)).count();
        let word = self.take(length);
        match keywords::keyword(word) {
            Some(keyword) => TokenKind::Keyword(keyword),
            None => TokenKind::Identifier(word.to_owned()),
        }
    }

    fn symbol(&mut self) -> Result<TokenKind, Refusal> {
        let symbol = SYMBOLS.into_iter().find(|symbol| self.rest.starts_with(symbol));
        let symbol = symbol.ok_or_else(unreadable)?;
        self.take(symbol.len());
        Ok(if symbol == "?" { TokenKind::Parameter } else { TokenKind::Symbol(symbol) })
    }

    /// What stands between two quotation marks; one that is doubled stands for itself.
    fn quoted(&mut self, mark: char) -> Result<String, Refusal> {
        let mut text = String::new();
        let mut characters = self.rest.char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            if character != mark {
                text.push(character);
            } else if characters.next_if(|(_, next)| *next == mark).is_some() {
                text.push(mark);
            } else {
                self.take(at + 1);
                return Ok(text);
            }
        }
        Err(unreadable())
    }

    fn number(&mut self) -> Result<TokenKind, Refusal> {
        let bytes = self.rest.as_bytes();
        let digits =
            |from: usize| bytes.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
        let mut length = digits(0);
        let mut decimals = 0;
        if bytes.get(length) == Some(&b'.') {
            length += 1;
            decimals = digits(length);
            length += decimals;
        }
        if let Some(b'e' | b'E') = bytes.get(length) {
            let signed = matches!(bytes.get(length + 1), Some(b'+' | b'-'));
            let first = length + 1 + usize::from(signed);
            let end = first + digits(first);
            let exponent = self.rest.get(first..end).and_then(|text| text.parse::<i32>().ok());
            let exponent = exponent.ok_or_else(unreadable)?;
            // The scale, which is the decimals less the exponent, must fit as well.
            let negative = bytes.get(length + 1) == Some(&b'-');
            if negative && usize::try_from(i32::MAX - exponent).is_ok_and(|most| decimals > most) {
                return Err(unreadable());
            }
            length = end;
        }
        let follows = bytes.get(length);
        if follows.is_some_and(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$')) {
            return Err(unreadable());
        }
        Ok(TokenKind::Number(self.take(length).to_owned()))
    }

    fn ion(&mut self) -> Result<TokenKind, Refusal> {
        let content = self.rest.get(1..).unwrap_or_default();
        let end = content.find('`').ok_or_else(unreadable)?;
        let content = content.get(..end).unwrap_or_default().trim();
        self.take(end + 2);
        let is_number = content.starts_with(|first: char| first.is_ascii_digit() || first == '-');
        Ok(TokenKind::Ion(match content {
            "null" => "NULL",
            "true" | "false" => "BOOL",
            _ if content.starts_with("{{\"") => "CLOB",
            _ if content.starts_with("{{") => "BLOB",
            _ if content.starts_with('{') => "STRUCT",
            _ if content.starts_with('[') => "LIST",
            _ if content.starts_with('(') => "SEXP",
            _ if content.starts_with('"') => "STRING",
            _ if is_number && content.contains(['.', 'd', 'D']) => "DECIMAL",
            _ if is_number && content.contains(['e', 'E']) => "FLOAT",
            _ if is_number && content.contains('T') => "TIMESTAMP",
            _ if is_number => "INT",
            _ => "SYMBOL",
        }))
    }
}

const fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\r' | '\n')
}
