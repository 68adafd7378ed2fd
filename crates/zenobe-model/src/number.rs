//! Numbers with 38 significant decimal digits.
//!
//! A number is zero or has a magnitude from 1E-130 to 9.9999999999999999999999999999999999999E+125.
//! No arithmetic here is binary floating point. Source: Developer Guide, "Supported data types",
//! Number.
//!
//! ```
//! use zenobe_model::Number;
//!
//! let price = Number::parse("+0012.50e1")?;
//! assert_eq!(price.to_string(), "125");
//! assert_eq!(price.checked_add(Number::parse("0.1")?)?.to_string(), "125.1");
//! assert_eq!(Number::parse("1E-3")?.to_string(), "0.001");
//! assert!(Number::parse("-1")? < Number::parse("-0.5")?);
//! # Ok::<(), zenobe_model::number::NumberError>(())
//! ```

use std::cmp::Ordering;
use std::fmt;

use crate::error::ServiceError;

/// The most significant digits.
pub const DIGITS_MAX: u32 = 38;
/// The decimal exponent of the first digit of the largest magnitude.
pub const MAGNITUDE_MAX: i16 = 125;
/// The decimal exponent of the smallest magnitude.
pub const MAGNITUDE_MIN: i16 = -130;
/// The smallest exponent that the last of 38 digits can have.
pub(crate) const EXPONENT_MIN: i16 = MAGNITUDE_MIN - 37;

/// 10^38, the first coefficient that is too long.
const COEFFICIENT_LIMIT: u128 = 10u128.pow(DIGITS_MAX);

/// A decimal number.
///
/// The value is `coefficient × 10^exponent`, negated if `negative`. The coefficient has no trailing
/// zeros and zero is always the same, so that equal numbers are equal in every field.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Number {
    /// The coefficient in halves: an aligned `u128` would make every attribute value larger.
    high: u64,
    low: u64,
    exponent: i16,
    negative: bool,
}

/// Why a text is not a number, or why a calculation has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NumberError {
    /// Not a decimal number.
    #[error("The parameter cannot be converted to a numeric value")]
    Malformed,
    /// Above 9.99…E+125.
    #[error(
        "Number overflow. Attempting to store a number with magnitude larger than supported range"
    )]
    Overflow,
    /// Not zero, and below 1E-130.
    #[error(
        "Number underflow. Attempting to store a number with magnitude smaller than supported range"
    )]
    Underflow,
    /// More than 38 significant digits.
    #[error("Attempting to store more than 38 significant digits in a Number")]
    TooPrecise,
}

impl NumberError {
    /// The text that the service sends; it repeats a malformed number unless it was empty.
    #[must_use]
    pub fn message(self, text: &str) -> String {
        match self {
            Self::Malformed if !text.is_empty() => format!("{self}: {text}"),
            Self::Malformed | Self::Overflow | Self::Underflow | Self::TooPrecise => {
                self.to_string()
            }
        }
    }

    /// The service's error for the number that was given as `text`.
    #[must_use]
    pub fn into_service_error(self, text: &str) -> ServiceError {
        ServiceError::validation(self.message(text))
    }
}

impl Number {
    /// Zero.
    pub const ZERO: Self = Self { high: 0, low: 0, exponent: 0, negative: false };

    /// Reads a number as the service does: an optional sign, digits with an optional point among,
    /// before or behind them, and an optional exponent. Spaces are refused.
    ///
    /// The range is checked before the precision. Zero is range-checked by the exponent that it is
    /// written with; an exponent outside of 64 bits is no number at all.
    ///
    /// # Errors
    /// `Malformed`, `Overflow`, `Underflow` or `TooPrecise`.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let bytes = text.as_bytes();
        let (negative, digits) = match bytes.split_first() {
            Some((b'-', rest)) => (true, rest),
            Some((b'+', rest)) => (false, rest),
            _ => (false, bytes),
        };
        if let Some(value) = parse_short_integer(digits) {
            return Ok(Self::from_sign_u64(negative, value));
        }
        let scanned = Scanned::scan(digits).ok_or(NumberError::Malformed)?;
        Self::checked(negative, scanned.coefficient, scanned.exponent, scanned.digits)
    }

    /// The number `±coefficient × 10^exponent`.
    ///
    /// # Errors
    /// `Overflow`, `Underflow` or `TooPrecise`.
    pub fn from_parts(
        negative: bool,
        coefficient: u128,
        exponent: impl Into<i128>,
    ) -> Result<Self, NumberError> {
        let (coefficient, zeros) = strip_zeros(coefficient);
        if coefficient == 0 {
            return Ok(Self::ZERO);
        }
        let exponent = exponent.into().saturating_add(i128::from(zeros));
        Self::checked(negative, coefficient, exponent, i64::from(digit_count(coefficient)))
    }

    /// Checks the range, then the precision, of a coefficient without trailing zeros that has
    /// `digits` digits; what it is does not matter if those are too many.
    fn checked(
        negative: bool,
        coefficient: u128,
        exponent: i128,
        digits: i64,
    ) -> Result<Self, NumberError> {
        let magnitude = exponent.saturating_add(i128::from(digits.max(1)) - 1);
        if magnitude > i128::from(MAGNITUDE_MAX) {
            return Err(NumberError::Overflow);
        }
        if magnitude < i128::from(MAGNITUDE_MIN) {
            return Err(NumberError::Underflow);
        }
        if digits > i64::from(DIGITS_MAX) {
            return Err(NumberError::TooPrecise);
        }
        if digits == 0 {
            return Ok(Self::ZERO);
        }
        // At most 38 digits below the magnitude: this fits.
        let exponent = i16::try_from(exponent).map_err(|_| NumberError::Underflow)?;
        Ok(Self::new_normal(negative, coefficient, exponent))
    }

    /// Puts the parts together again that [`Self::parts`] took apart, or nothing if they are not
    /// those of a number: stored bytes pass here.
    pub(crate) fn from_normal_parts(
        negative: bool,
        coefficient: u128,
        exponent: i16,
    ) -> Option<Self> {
        if coefficient == 0 {
            return (exponent == 0 && !negative).then_some(Self::ZERO);
        }
        let last_digit = match u64::try_from(coefficient) {
            Ok(small) => small % 10,
            Err(_) if coefficient >= COEFFICIENT_LIMIT => 0,
            Err(_) => (coefficient % 10) as u64,
        };
        if last_digit == 0 {
            return None;
        }
        let number = Self::new_normal(negative, coefficient, exponent);
        (MAGNITUDE_MIN..=MAGNITUDE_MAX).contains(&number.magnitude()).then_some(number)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the halves of the coefficient")]
    const fn new_normal(negative: bool, coefficient: u128, exponent: i16) -> Self {
        Self { high: (coefficient >> 64) as u64, low: coefficient as u64, exponent, negative }
    }

    fn from_sign_u64(negative: bool, value: u64) -> Self {
        if value == 0 {
            return Self::ZERO;
        }
        let (low, zeros) = strip_zeros_u64(value);
        Self { high: 0, low, exponent: zeros, negative }
    }

    /// The coefficient: the significant digits as an integer without trailing zeros.
    #[must_use]
    pub const fn coefficient(self) -> u128 {
        ((self.high as u128) << 64) | self.low as u128
    }

    /// The decimal exponent of the last significant digit; 0 for zero.
    #[must_use]
    pub const fn exponent(self) -> i16 {
        self.exponent
    }

    /// Whether the number is below zero.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.negative
    }

    /// Whether the number is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.high == 0 && self.low == 0
    }

    /// How many significant digits there are; 0 for zero.
    #[must_use]
    pub fn digits(self) -> u32 {
        digit_count(self.coefficient())
    }

    /// The decimal exponent of the first significant digit.
    pub(crate) fn magnitude(self) -> i16 {
        // At most 39 digits: the conversion cannot fail.
        let digits = i16::try_from(self.digits()).unwrap_or(i16::MAX);
        self.exponent.saturating_add(digits).saturating_sub(1)
    }

    /// Whether there are no digits behind the point.
    #[must_use]
    pub const fn is_integer(self) -> bool {
        self.exponent >= 0
    }

    /// The number as an `i64`, if it is an integer in its range.
    #[must_use]
    pub fn to_i64(self) -> Option<i64> {
        let magnitude = i128::try_from(self.integer_magnitude()?).ok()?;
        i64::try_from(if self.negative { -magnitude } else { magnitude }).ok()
    }

    /// The number as a `u64`, if it is an integer in its range.
    #[must_use]
    pub fn to_u64(self) -> Option<u64> {
        if self.negative {
            return None;
        }
        u64::try_from(self.integer_magnitude()?).ok()
    }

    fn integer_magnitude(self) -> Option<u128> {
        let exponent = u32::try_from(self.exponent).ok()?;
        self.coefficient().checked_mul(10u128.checked_pow(exponent)?)
    }

    /// The sum.
    ///
    /// # Errors
    /// `Overflow` if the sum is too large *or has more than 38 significant digits*: for results
    /// of calculations the service reports both alike (1E+50 + 1). `Underflow` if it is too
    /// small.
    pub fn checked_add(self, other: Self) -> Result<Self, NumberError> {
        if self.is_zero() {
            return Ok(other);
        }
        if other.is_zero() {
            return Ok(self);
        }
        let (large, small) =
            if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        let shift = u32::from(large.exponent.abs_diff(small.exponent));
        // An operand that does not fit when aligned is so much larger than the other one that the
        // result has more than 38 digits: the last of them is not zero.
        let aligned = 10u128
            .checked_pow(shift)
            .and_then(|power| large.coefficient().checked_mul(power))
            .ok_or(NumberError::Overflow)?;
        let (negative, coefficient) = if large.negative == small.negative {
            let sum = aligned.checked_add(small.coefficient()).ok_or(NumberError::Overflow)?;
            (large.negative, sum)
        } else if aligned >= small.coefficient() {
            (large.negative, aligned - small.coefficient())
        } else {
            (small.negative, small.coefficient() - aligned)
        };
        match Self::from_parts(negative, coefficient, small.exponent) {
            Err(NumberError::TooPrecise) => Err(NumberError::Overflow),
            result => result,
        }
    }

    /// The difference.
    ///
    /// # Errors
    /// As [`Self::checked_add`].
    pub fn checked_sub(self, other: Self) -> Result<Self, NumberError> {
        self.checked_add(-other)
    }

    /// Writes the number as the service prints it: plain decimal notation, without exponent,
    /// leading or trailing zeros.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_to(self, out: &mut impl fmt::Write) -> fmt::Result {
        out.write_str(self.format(&mut NumberBuffer::new()))
    }

    /// Appends the number to a buffer of text, as [`Self::write_to`].
    pub fn append_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.format(&mut NumberBuffer::new()).as_bytes());
    }

    /// Writes the number into a buffer on the stack, as [`Self::write_to`].
    #[must_use]
    pub fn format(self, buffer: &mut NumberBuffer) -> &str {
        buffer.length = 0;
        if self.negative {
            buffer.push(b'-');
        }
        let mut reversed = [0u8; 40];
        let digits = write_digits(self.coefficient(), &mut reversed);
        let exponent = self.exponent;
        if exponent >= 0 {
            buffer.extend(digits);
            buffer.zeros(usize::from(exponent.unsigned_abs()));
        } else {
            let fraction = usize::from(exponent.unsigned_abs());
            match digits.split_at_checked(digits.len().wrapping_sub(fraction)) {
                Some((integer, rest)) if !integer.is_empty() => {
                    buffer.extend(integer);
                    buffer.push(b'.');
                    buffer.extend(rest);
                }
                _ => {
                    buffer.extend(b"0.");
                    buffer.zeros(fraction.saturating_sub(digits.len()));
                    buffer.extend(digits);
                }
            }
        }
        buffer.as_str()
    }
}

/// Room for any number in plain notation: a sign, `0.`, 129 zeros and 38 digits are 170 bytes.
#[derive(Clone, Debug)]
pub struct NumberBuffer {
    bytes: [u8; 176],
    length: usize,
}

impl NumberBuffer {
    /// An empty buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { bytes: [0; 176], length: 0 }
    }

    fn push(&mut self, byte: u8) {
        self.extend(&[byte]);
    }

    fn extend(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.copy_from_slice(bytes);
            self.length = end;
        }
    }

    fn zeros(&mut self, count: usize) {
        let end = self.length + count;
        if let Some(room) = self.bytes.get_mut(self.length..end) {
            room.fill(b'0');
            self.length = end;
        }
    }

    fn as_str(&self) -> &str {
        // Only ASCII was pushed.
        self.bytes
            .get(..self.length)
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }
}

impl Default for NumberBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl std::ops::Neg for Number {
    type Output = Self;
    fn neg(self) -> Self {
        Self { negative: !self.negative && !self.is_zero(), ..self }
    }
}

impl From<u64> for Number {
    fn from(value: u64) -> Self {
        Self::from_sign_u64(false, value)
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self::from_sign_u64(value < 0, value.unsigned_abs())
    }
}

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self::from(u64::from(value))
    }
}

impl From<i32> for Number {
    fn from(value: i32) -> Self {
        Self::from(i64::from(value))
    }
}

impl std::str::FromStr for Number {
    type Err = NumberError;
    fn from_str(text: &str) -> Result<Self, NumberError> {
        Self::parse(text)
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.sign(), other.sign()) {
            (1, 1) => self.cmp_magnitude(other),
            (-1, -1) => other.cmp_magnitude(self),
            (mine, theirs) => mine.cmp(&theirs),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Number {
    const fn sign(self) -> i8 {
        if self.is_zero() {
            0
        } else if self.negative {
            -1
        } else {
            1
        }
    }

    /// Compares without the signs; neither is zero.
    fn cmp_magnitude(&self, other: &Self) -> Ordering {
        if self.exponent == other.exponent {
            return self.coefficient().cmp(&other.coefficient());
        }
        self.magnitude().cmp(&other.magnitude()).then_with(|| {
            // Equal first digits: aligning to the smaller exponent stays below 10^38.
            let shift = u32::from(self.exponent.abs_diff(other.exponent));
            let power = 10u128.saturating_pow(shift);
            if self.exponent > other.exponent {
                self.coefficient().saturating_mul(power).cmp(&other.coefficient())
            } else {
                self.coefficient().cmp(&other.coefficient().saturating_mul(power))
            }
        })
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

/// What the text of a number says, before its range is checked.
#[derive(Default)]
struct Scanned {
    /// The significant digits without trailing zeros; wraps if there are more than 38.
    coefficient: u128,
    /// How many significant digits there are.
    digits: i64,
    /// The exponent of the last of them; of zero, the exponent that it is written with.
    exponent: i128,
}

impl Scanned {
    /// Reads everything behind the sign.
    fn scan(text: &[u8]) -> Option<Self> {
        let mut scanned = Self::default();
        let mut pending_zeros = 0i64;
        let mut fraction_digits = 0i64;
        let mut any_digit = false;
        let mut point = false;
        let mut rest = text.iter();
        let mut exponent = 0i64;
        while let Some(&byte) = rest.next() {
            match byte {
                b'0'..=b'9' => {
                    any_digit = true;
                    fraction_digits += i64::from(point);
                    scanned.push_digit(byte - b'0', &mut pending_zeros);
                }
                b'.' if !point => point = true,
                b'e' | b'E' if any_digit => {
                    exponent = scan_exponent(rest.as_slice())?;
                    break;
                }
                _ => return None,
            }
        }
        if scanned.digits == 0 {
            pending_zeros = 0;
        }
        scanned.exponent = i128::from(exponent) + i128::from(pending_zeros - fraction_digits);
        any_digit.then_some(scanned)
    }

    /// Zeros wait until a digit follows that makes them significant.
    fn push_digit(&mut self, digit: u8, pending_zeros: &mut i64) {
        if digit == 0 {
            *pending_zeros += i64::from(self.digits > 0);
            return;
        }
        self.digits += *pending_zeros + 1;
        if self.digits <= i64::from(DIGITS_MAX) {
            for _ in 0..=*pending_zeros {
                self.coefficient = self.coefficient.wrapping_mul(10);
            }
            self.coefficient = self.coefficient.wrapping_add(u128::from(digit));
        }
        *pending_zeros = 0;
    }
}

fn scan_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0i64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(i64::from(byte - b'0'))?;
    }
    if negative { Some(value) } else { value.checked_neg() }
}

/// The commonest numbers: up to 18 digits and nothing else.
fn parse_short_integer(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 18 {
        return None;
    }
    let mut value = 0u64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(byte - b'0');
    }
    Some(value)
}

/// The value without its trailing zeros, and how many there were. Zero has none.
fn strip_zeros(mut value: u128) -> (u128, u32) {
    let mut zeros = 0;
    // Division of 128 bits is slow: leave it as soon as the value fits into 64.
    const STEP: u128 = 10u128.pow(8);
    while value > u128::from(u64::MAX) && value.is_multiple_of(STEP) {
        value /= STEP;
        zeros += 8;
    }
    while value > u128::from(u64::MAX) && value.is_multiple_of(10) {
        value /= 10;
        zeros += 1;
    }
    match u64::try_from(value) {
        Ok(small) if small != 0 => {
            let (stripped, more) = strip_zeros_u64(small);
            (u128::from(stripped), zeros + u32::from(more.unsigned_abs()))
        }
        _ => (value, zeros),
    }
}

/// As [`strip_zeros`], for a value that is not zero.
fn strip_zeros_u64(mut value: u64) -> (u64, i16) {
    let mut zeros = 0;
    while value != 0 && value.is_multiple_of(10_000) {
        value /= 10_000;
        zeros += 4;
    }
    while value != 0 && value.is_multiple_of(10) {
        value /= 10;
        zeros += 1;
    }
    (value, zeros)
}

/// How many decimal digits a value has; 0 for zero.
fn digit_count(value: u128) -> u32 {
    match u64::try_from(value) {
        Ok(small) => small.checked_ilog10().map_or(0, |log| log + 1),
        Err(_) => value.checked_ilog10().map_or(0, |log| log + 1),
    }
}

/// Writes the digits of a value to the end of a buffer and returns them; zero is `0`.
fn write_digits(mut value: u128, buffer: &mut [u8; 40]) -> &[u8] {
    const CHUNK: u128 = 10u128.pow(19);
    let mut start = buffer.len();
    loop {
        let (mut chunk, last) = match u64::try_from(value) {
            Ok(small) => (small, true),
            // The remainder is below 10^19 < 2^64.
            Err(_) => (u64::try_from(value % CHUNK).unwrap_or_default(), false),
        };
        let chunk_end = start.saturating_sub(19);
        loop {
            start -= 1;
            if let (Some(slot), Ok(digit)) = (buffer.get_mut(start), u8::try_from(chunk % 10)) {
                *slot = b'0' + digit;
            }
            chunk /= 10;
            let done = if last { chunk == 0 } else { start == chunk_end };
            if done {
                break;
            }
        }
        if last {
            break;
        }
        value /= CHUNK;
    }
    buffer.get(start..).unwrap_or_default()
}
