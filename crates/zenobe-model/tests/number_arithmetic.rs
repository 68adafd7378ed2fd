//! Addition, subtraction and comparison against unbounded integers.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod arbitrary;

use num_bigint::BigInt;
use proptest::prelude::*;
use zenobe_model::Number;
use zenobe_model::number::NumberError::{self, Overflow, Underflow};

/// The number as an integer, in units of the last digit that any number can have.
fn model(number: Number) -> BigInt {
    let shift = u32::try_from(number.exponent() + 167).unwrap();
    let magnitude = BigInt::from(number.coefficient()) * BigInt::from(10).pow(shift);
    if number.is_negative() { -magnitude } else { magnitude }
}

/// What the service makes of the exact result.
fn rounded(exact: &BigInt) -> Result<String, NumberError> {
    let digits = exact.magnitude().to_string();
    let significant = digits.trim_end_matches('0');
    let magnitude = digits.len() as i64 - 1 - 167;
    match significant.len() {
        0 => Ok("0".to_owned()),
        _ if magnitude > 125 => Err(Overflow),
        _ if magnitude < -130 => Err(Underflow),
        39.. => Err(Overflow),
        _ => Ok(exact.to_string()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn sums_are_exact_or_errors(left in arbitrary::number(), right in arbitrary::number()) {
        let sum = left.checked_add(right).map(|sum| model(sum).to_string());
        prop_assert_eq!(sum, rounded(&(model(left) + model(right))));
        let difference = left.checked_sub(right).map(|difference| model(difference).to_string());
        prop_assert_eq!(difference, rounded(&(model(left) - model(right))));
    }

    #[test]
    fn order_is_numeric(left in arbitrary::number(), right in arbitrary::number()) {
        prop_assert_eq!(left.cmp(&right), model(left).cmp(&model(right)));
        prop_assert_eq!(left == right, model(left) == model(right));
    }
}

#[test]
fn results_with_more_than_38_digits_overflow() {
    let check = |left: &str, right: &str, expected: Result<&str, NumberError>| {
        let sum = Number::parse(left).unwrap().checked_add(Number::parse(right).unwrap());
        assert_eq!(sum, expected.map(|text| Number::parse(text).unwrap()), "{left} + {right}");
    };
    check("1e50", "1", Err(Overflow));
    check("1e50", "-1", Err(Overflow));
    check("1e37", "1", Ok("10000000000000000000000000000000000001"));
    check("1e37", "0.1", Err(Overflow));
    check("99999999999999999999999999999999999999", "1", Ok("1e38"));
    check("99999999999999999999999999999999999999", "2", Err(Overflow));
    check("1", "-1e-38", Ok("0.99999999999999999999999999999999999999"));
    check("9.9999999999999999999999999999999999999E+125", "1E+125", Err(Overflow));
    check("1e125", "1e-130", Err(Overflow));
    check("1.1e-130", "-1e-130", Err(Underflow));
    check("1.1e-129", "-1e-129", Ok("1e-130"));
    check("1e125", "-1e125", Ok("0"));
    check("0", "1e-130", Ok("1e-130"));
}
