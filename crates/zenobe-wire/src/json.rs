//! A pull reader over the bytes of one JSON document.
//!
//! The reader hands out one token at a time, so that what a request says is stored straight into
//! its typed form. It checks syntax only, never recurses, and borrows every string that has no
//! escapes. Invariant: no input makes it panic, recurse or allocate more than the input's length.
//! What a wrong type is answered with is decided by the caller. Source: RFC 8259.

use std::borrow::Cow;

use zenobe_model::{ErrorCode, ServiceError};

/// Values that nobody looks at may nest this deep; deeper ones are refused.
const SKIPPED_DEPTH_MAX: usize = 1000;

/// The start of a value. Scalars have been read whole, but for strings and numbers, whose text is
/// read by [`Reader::text`] and [`Reader::integer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// `"`
    Text,
    /// A number without fraction and exponent.
    Integer,
    /// A number with a fraction or an exponent.
    Decimal,
    /// `true`
    True,
    /// `false`
    False,
    /// `null`
    Null,
    /// `{`
    Object,
    /// `[`
    Array,
}

/// The failure of a document that is not JSON. The service gives no text.
pub(crate) fn malformed() -> Box<ServiceError> {
    Box::new(ServiceError::new(ErrorCode::Serialization, ""))
}

/// How many bytes at the start of `bytes` stand for themselves in a JSON string. Sixteen at a time
/// are looked at without a branch, which the compiler turns into vector instructions.
pub(crate) fn plain_length(bytes: &[u8]) -> usize {
    let special = |byte: u8| (byte == b'"') | (byte == b'\\') | (byte < 0x20);
    let (chunks, _) = bytes.as_chunks::<16>();
    let plain = |chunk: &&[u8; 16]| !chunk.iter().fold(false, |any, &byte| any | special(byte));
    let start = chunks.iter().take_while(plain).count() * 16;
    let rest = bytes.get(start..).unwrap_or_default();
    start + rest.iter().position(|&byte| special(byte)).unwrap_or(rest.len())
}

/// A position in a JSON document.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// A reader at the start of a document.
    ///
    /// # Errors
    /// A malformed document, if the bytes are not UTF-8.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Box<ServiceError>> {
        let text = std::str::from_utf8(bytes).map_err(|_| malformed())?;
        Ok(Self { text, at: 0 })
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = self.byte() {
            self.at += 1;
        }
    }

    /// Whether only white space is left.
    pub(crate) fn at_end(&mut self) -> bool {
        self.skip_space();
        self.byte().is_none()
    }

    /// What kind of value comes next. Nothing is consumed but white space, so that the value is
    /// then read by the method for its kind.
    pub(crate) fn peek(&mut self) -> Result<Token, Box<ServiceError>> {
        self.skip_space();
        match self.byte() {
            Some(b'"') => Ok(Token::Text),
            Some(b'{') => Ok(Token::Object),
            Some(b'[') => Ok(Token::Array),
            Some(b't') => Ok(Token::True),
            Some(b'f') => Ok(Token::False),
            Some(b'n') => Ok(Token::Null),
            Some(b'-' | b'0'..=b'9') => self.number_kind(),
            _ => Err(malformed()),
        }
    }

    /// Consumes `true`, `false` or `null`.
    pub(crate) fn literal(&mut self, token: Token) -> Result<(), Box<ServiceError>> {
        let word = match token {
            Token::True => "true",
            Token::False => "false",
            _ => "null",
        };
        let rest = self.text.get(self.at..).unwrap_or_default();
        if !rest.starts_with(word) {
            return Err(malformed());
        }
        self.at += word.len();
        Ok(())
    }

    /// Consumes the `{` or `[` that [`peek`](Self::peek) saw.
    pub(crate) fn open(&mut self) {
        self.at += 1;
    }

    /// The next key of the object that was opened, or `None` at its end. `first` is true for the
    /// first call only.
    pub(crate) fn key(&mut self, first: bool) -> Result<Option<Cow<'a, str>>, Box<ServiceError>> {
        if !self.more(first, b'}')? {
            return Ok(None);
        }
        if self.byte() != Some(b'"') {
            return Err(malformed());
        }
        let key = self.text()?;
        self.skip_space();
        if self.byte() != Some(b':') {
            return Err(malformed());
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Whether the array that was opened has another element, which is then read next.
    pub(crate) fn element(&mut self, first: bool) -> Result<bool, Box<ServiceError>> {
        self.more(first, b']')
    }

    fn more(&mut self, first: bool, close: u8) -> Result<bool, Box<ServiceError>> {
        self.skip_space();
        match self.byte() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !first => {
                self.at += 1;
                self.skip_space();
                // A closing bracket after the comma is refused by whatever reads the element.
                Ok(true)
            }
            Some(_) if first => Ok(true),
            _ => Err(malformed()),
        }
    }

    /// Reads a string; its opening quote comes next.
    pub(crate) fn text(&mut self) -> Result<Cow<'a, str>, Box<ServiceError>> {
        let start = self.at + 1;
        let rest = self.text.as_bytes().get(start..).unwrap_or_default();
        let end = start + plain_length(rest);
        let plain = self.text.get(start..end).ok_or_else(malformed)?;
        self.at = end;
        match self.byte() {
            Some(b'"') => {
                self.at += 1;
                Ok(Cow::Borrowed(plain))
            }
            Some(b'\\') => self.escaped(plain.to_owned()).map(Cow::Owned),
            _ => Err(malformed()),
        }
    }

    /// Reads on in a string that holds an escape; `out` is what came before it.
    fn escaped(&mut self, mut out: String) -> Result<String, Box<ServiceError>> {
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            let length = plain_length(rest);
            out.push_str(self.text.get(self.at..self.at + length).ok_or_else(malformed)?);
            self.at += length + 1;
            match rest.get(length) {
                Some(b'"') => return Ok(out),
                Some(b'\\') => {
                    let character = self.escape()?;
                    out.push(character);
                }
                _ => return Err(malformed()),
            }
        }
    }

    /// Reads what follows a backslash.
    fn escape(&mut self) -> Result<char, Box<ServiceError>> {
        let byte = self.byte().ok_or_else(malformed)?;
        self.at += 1;
        Ok(match byte {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode_escape(),
            _ => return Err(malformed()),
        })
    }

    /// Reads the digits of `\u`, with a second escape if the first is half of a pair. A half
    /// without the other becomes a question mark, as where UTF-16 is turned into UTF-8 in Java.
    fn unicode_escape(&mut self) -> Result<char, Box<ServiceError>> {
        let unit = self.hex()?;
        if !(0xD800..0xDC00).contains(&unit) {
            return Ok(char::from_u32(unit).unwrap_or('?'));
        }
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(b"\\u") {
            return Ok('?');
        }
        let before = self.at;
        self.at += 2;
        let low = self.hex()?;
        if !(0xDC00..0xE000).contains(&low) {
            self.at = before;
            return Ok('?');
        }
        let combined = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
        Ok(char::from_u32(combined).unwrap_or('?'))
    }

    fn hex(&mut self) -> Result<u32, Box<ServiceError>> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4).ok_or_else(malformed)?;
        let mut unit = 0;
        for &digit in digits {
            unit = unit * 16 + char::from(digit).to_digit(16).ok_or_else(malformed)?;
        }
        self.at += 4;
        Ok(unit)
    }

    /// The end of the number that comes next, and whether it has a fraction or an exponent.
    fn number_end(&self) -> Result<(usize, Token), Box<ServiceError>> {
        let bytes = self.text.as_bytes();
        let digits = |from: usize| {
            let count = bytes.get(from..).unwrap_or_default().iter();
            from + count.take_while(|byte| byte.is_ascii_digit()).count()
        };
        let start = self.at + usize::from(bytes.get(self.at) == Some(&b'-'));
        let mut end = digits(start);
        let mut token = Token::Integer;
        let leading_zero = bytes.get(start) == Some(&b'0') && end > start + 1;
        if end == start || leading_zero {
            return Err(malformed());
        }
        if bytes.get(end) == Some(&b'.') {
            let from = end + 1;
            end = digits(from);
            token = Token::Decimal;
            if end == from {
                return Err(malformed());
            }
        }
        if let Some(b'e' | b'E') = bytes.get(end) {
            let from = end + 1 + usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            end = digits(from);
            token = Token::Decimal;
            if end == from {
                return Err(malformed());
            }
        }
        Ok((end, token))
    }

    fn number_kind(&self) -> Result<Token, Box<ServiceError>> {
        self.number_end().map(|(_, token)| token)
    }

    /// Reads a number as an integer: what is behind the point is cut off, and what is too large
    /// becomes the largest integer, as the service's own number type does.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float turns into the nearest integer of the type, which is what is wanted"
    )]
    pub(crate) fn integer(&mut self) -> Result<i64, Box<ServiceError>> {
        let (end, token) = self.number_end()?;
        let digits = self.text.get(self.at..end).ok_or_else(malformed)?;
        self.at = end;
        if token == Token::Decimal {
            return digits.parse::<f64>().map(|value| value as i64).map_err(|_| malformed());
        }
        let limit = if digits.starts_with('-') { i64::MIN } else { i64::MAX };
        Ok(digits.parse().unwrap_or(limit))
    }

    /// Reads a number and returns how many thousandths it has.
    #[expect(clippy::cast_possible_truncation, reason = "a time out of range is cut to its end")]
    pub(crate) fn thousandths(&mut self) -> Result<i64, Box<ServiceError>> {
        let (end, _) = self.number_end()?;
        let digits = self.text.get(self.at..end).ok_or_else(malformed)?;
        self.at = end;
        digits.parse::<f64>().map(|value| (value * 1000.0).round() as i64).map_err(|_| malformed())
    }

    /// Reads over a value of any kind.
    pub(crate) fn skip(&mut self) -> Result<(), Box<ServiceError>> {
        // One entry per open bracket: whether it is an object's.
        let mut open = Vec::new();
        loop {
            let mut first = false;
            match self.peek()? {
                Token::Text => {
                    self.text()?;
                }
                Token::Integer | Token::Decimal => {
                    (self.at, _) = self.number_end()?;
                }
                token @ (Token::Object | Token::Array) => {
                    if open.len() >= SKIPPED_DEPTH_MAX {
                        return Err(malformed());
                    }
                    self.open();
                    open.push(token == Token::Object);
                    first = true;
                }
                literal => self.literal(literal)?,
            }
            loop {
                let more = match open.last() {
                    None => return Ok(()),
                    Some(true) => self.key(first)?.is_some(),
                    Some(false) => self.element(first)?,
                };
                if more {
                    break;
                }
                open.pop();
                first = false;
            }
        }
    }
}
