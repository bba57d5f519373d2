//! Whatever is in a file about a blob, reading it does not panic; what it reads can be written and read again, and is in
//! bounds and in order.
#![no_main]

use libfuzzer_sys::fuzz_target;
use transship::copy::BlobInfo;

fuzz_target!(|bytes: &[u8]| {
    let Ok(info) = BlobInfo::parse(bytes) else { return };
    assert_eq!(BlobInfo::parse(&info.to_json()).expect("what was written can be read"), info);
    assert!(info.repositories().count() <= 10 && info.variants().len() <= 10);
    assert!(info.variants().is_sorted_by(|one, other| one.learned >= other.learned));
    for name in info.repositories() {
        assert!(
            name.path()
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"/._-".contains(&byte))
        );
    }
});
