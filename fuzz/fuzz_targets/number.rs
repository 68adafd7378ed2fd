//! Any text is a number, which prints as itself, or is refused; sums never panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use zenobe_model::Number;

fuzz_target!(|data: (&str, &str)| {
    let (left, right) = (Number::parse(data.0), Number::parse(data.1));
    for number in [left, right].into_iter().flatten() {
        assert_eq!(Number::parse(&number.to_string()), Ok(number));
    }
    if let (Ok(left), Ok(right)) = (left, right) {
        assert_eq!(left.checked_add(right), right.checked_add(left));
        assert_eq!(left.checked_sub(right), right.checked_sub(left).map(|difference| -difference));
        assert_eq!(left.cmp(&right), right.cmp(&left).reverse());
    }
});
