//! Numbers as text, without the machinery of `fmt`: every record has several.

use std::net::Ipv4Addr;

/// Appends `value` in decimal.
pub(super) fn push_decimal(text: &mut String, mut value: u64) {
    let mut digits = [0_u8; 20];
    let mut used = 0;
    for place in digits.iter_mut().rev() {
        *place = b'0' + (value % 10) as u8;
        value /= 10;
        used += 1;
        if value == 0 {
            break;
        }
    }
    let digits = digits.get(20 - used..).unwrap_or_default();
    text.extend(digits.iter().copied().map(char::from));
}

/// `value` in decimal.
pub(super) fn decimal(value: u64) -> String {
    let mut text = String::with_capacity(20);
    push_decimal(&mut text, value);
    text
}

/// Appends `a.b.c.d`.
pub(super) fn push_ipv4(text: &mut String, address: Ipv4Addr) {
    for (place, octet) in address.octets().into_iter().enumerate() {
        if place > 0 {
            text.push('.');
        }
        push_decimal(text, u64::from(octet));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_fmt_does(value in any::<u64>(), shift in 0_u32..64, ip: u32) {
            let value = value >> shift;
            prop_assert_eq!(decimal(value), value.to_string());
            let mut text = String::new();
            push_ipv4(&mut text, Ipv4Addr::from(ip));
            prop_assert_eq!(text, Ipv4Addr::from(ip).to_string());
        }
    }

    #[test]
    fn the_ends_of_the_range_are_right() {
        assert_eq!((decimal(0), decimal(u64::MAX)), ("0".into(), u64::MAX.to_string()));
    }
}
