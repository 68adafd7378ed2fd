//! Which texts are numbers, and how numbers are printed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod arbitrary;

use proptest::prelude::*;
use zenobe_model::Number;
use zenobe_model::number::NumberError::{self, Malformed, Overflow, TooPrecise, Underflow};

fn check(text: &str, expected: Result<&str, NumberError>) {
    let printed = Number::parse(text).map(|number| number.to_string());
    assert_eq!(printed.as_deref().map_err(|error| *error), expected, "{text:?}");
}

#[test]
fn numbers_are_printed_in_plain_notation() {
    for (text, printed) in [
        ("0", "0"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("0e125", "0"),
        ("+1", "1"),
        ("-1", "-1"),
        ("007", "7"),
        ("1.", "1"),
        (".5", "0.5"),
        ("-.5", "-0.5"),
        ("1.50", "1.5"),
        ("100", "100"),
        ("0042.1200", "42.12"),
        ("1e5", "100000"),
        ("1E+5", "100000"),
        ("1e-5", "0.00001"),
        ("1e0000005", "100000"),
        ("123e-2", "1.23"),
        ("1.5e-7", "0.00000015"),
        ("1e21", "1000000000000000000000"),
        ("123456789012345678", "123456789012345678"),
        ("1234567890123456789", "1234567890123456789"),
        ("18446744073709551616", "18446744073709551616"),
        ("-10000000000000000000000000000000000001", "-10000000000000000000000000000000000001"),
        ("1234567890123456789012345678901234567800", "1234567890123456789012345678901234567800"),
        ("1.2345678901234567890123456789012345678000", "1.2345678901234567890123456789012345678"),
        ("99999999999999999999999999999999999999", "99999999999999999999999999999999999999"),
    ] {
        check(text, Ok(printed));
    }
    check("1e125", Ok(&format!("1{}", "0".repeat(125))));
    check("-1e-130", Ok(&format!("-0.{}1", "0".repeat(129))));
    let longest = "9.9999999999999999999999999999999999999";
    check(&format!("{longest}E+125"), Ok(&format!("{}{}", "9".repeat(38), "0".repeat(88))));
    check(&format!("-{longest}E-130"), Ok(&format!("-0.{}{}", "0".repeat(129), "9".repeat(38))));
    check(&format!("{}1", "0".repeat(300)), Ok("1"));
}

#[test]
fn texts_that_are_no_numbers() {
    for text in [
        "",
        "abc",
        " 1",
        "1 ",
        " ",
        "\t1",
        "1\n",
        ".",
        "+",
        "-",
        "e5",
        ".e5",
        "1e",
        "1e+",
        "1e-",
        "--1",
        "+-1",
        "1 2",
        "1,5",
        "1.2.3",
        "1e5.5",
        "1e5e5",
        "0x10",
        "1_0",
        "NaN",
        "Infinity",
        "-Infinity",
        "1f",
        "1d",
        "1L",
        "½",
        "1e9223372036854775808",
        "1e-9223372036854775809",
        "0e99999999999999999999",
    ] {
        check(text, Err(Malformed));
    }
}

#[test]
fn the_range_is_checked_before_the_precision() {
    check("1e126", Err(Overflow));
    check("-11e125", Err(Overflow));
    check("1e99999999999", Err(Overflow));
    check("1e9223372036854775807", Err(Overflow));
    check(&format!("1{}", "0".repeat(130)), Err(Overflow));
    check("1e-131", Err(Underflow));
    check("0.9e-130", Err(Underflow));
    check("1e-99999999999", Err(Underflow));
    check("1e-9223372036854775808", Err(Underflow));
    check("123456789012345678901234567890123456789", Err(TooPrecise));
    check("1.23456789012345678901234567890123456789", Err(TooPrecise));
    check(&"1".repeat(126), Err(TooPrecise));
    check(&"1".repeat(127), Err(Overflow));
    check("100000000000000000000000000000000000001e-20", Err(TooPrecise));
    // Zero is checked by the exponent that it is written with.
    check("0e126", Err(Overflow));
    check("0e-131", Err(Underflow));
    check("000e-130", Ok("0"));
}

#[test]
fn error_texts() {
    let message = |text: &str| Number::parse(text).unwrap_err().into_service_error(text).message;
    assert_eq!(message(""), "The parameter cannot be converted to a numeric value");
    assert_eq!(message("abc"), "The parameter cannot be converted to a numeric value: abc");
    assert_eq!(
        message("1e126"),
        "Number overflow. Attempting to store a number with magnitude larger than supported range"
    );
    assert_eq!(
        message("1e-131"),
        "Number underflow. Attempting to store a number with magnitude smaller than supported range"
    );
    assert_eq!(
        message(&"1".repeat(39)),
        "Attempting to store more than 38 significant digits in a Number"
    );
}

proptest! {
    #[test]
    fn printed_numbers_parse_to_themselves(number in arbitrary::number()) {
        prop_assert_eq!(Number::parse(&number.to_string()), Ok(number));
    }

    #[test]
    fn any_notation_of_a_number_parses_to_it(
        number in arbitrary::number(),
        zeros in 0usize..5,
        shift in -200i64..200,
    ) {
        let sign = if number.is_negative() { "-" } else { "+" };
        // Zero is range-checked by its own exponent; the others by what they amount to.
        let shift = if number.is_zero() { 0 } else { shift };
        let mut digits = format!("{}{}", "0".repeat(zeros), number.coefficient());
        let mut exponent = i64::from(number.exponent()) - shift;
        if shift < 0 {
            digits.insert(digits.len().saturating_sub(shift.unsigned_abs() as usize), '.');
            let fraction = digits.len() - digits.find('.').unwrap() - 1;
            exponent = i64::from(number.exponent()) + fraction as i64;
        } else {
            digits.push_str(&"0".repeat(shift as usize));
        }
        prop_assert_eq!(Number::parse(&format!("{sign}{digits}E{exponent}")), Ok(number));
    }

    #[test]
    fn integers_convert_both_ways(integer in any::<i64>(), natural in any::<u64>()) {
        prop_assert_eq!(Number::from(integer).to_i64(), Some(integer));
        prop_assert_eq!(Number::from(natural).to_u64(), Some(natural));
        prop_assert_eq!(Number::parse(&integer.to_string()), Ok(Number::from(integer)));
        prop_assert_eq!(Number::from(natural).to_string(), natural.to_string());
        prop_assert_eq!(Number::from(integer).to_string(), integer.to_string());
    }

    #[test]
    fn no_text_panics(text in "[-+.eE0-9 ]{0,60}|.{0,40}") {
        let _ = Number::parse(&text);
    }
}

#[test]
fn integers_at_the_ends_of_their_ranges() {
    let number = |text| Number::parse(text).unwrap();
    assert_eq!(number("9223372036854775807").to_i64(), Some(i64::MAX));
    assert_eq!(number("9223372036854775808").to_i64(), None);
    assert_eq!(number("-9223372036854775808").to_i64(), Some(i64::MIN));
    assert_eq!(number("-9223372036854775809").to_i64(), None);
    assert_eq!(number("18446744073709551615").to_u64(), Some(u64::MAX));
    assert_eq!(number("18446744073709551616").to_u64(), None);
    assert_eq!(number("-1").to_u64(), None);
    assert_eq!(number("0.5").to_i64(), None);
    assert!(!number("0.5").is_integer());
    assert_eq!(number("1e125").to_i64(), None);
    assert!(number("1e125").is_integer());
}
