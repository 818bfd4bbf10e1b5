//! Frames of calls between server and agent, in pieces.

#![no_main]

use libfuzzer_sys::fuzz_target;
use wharf_model::frame::{FRAME_BYTES_MAX, Reader};

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::default();
    for piece in bytes.chunks(7) {
        reader.push(piece);
        while let Ok(Some(frame)) = reader.frame() {
            // What was read is written as something that is read as the same.
            let mut again = Reader::default();
            again.push(&frame.encode_with_length());
            if frame.encode().len() <= FRAME_BYTES_MAX {
                assert_eq!(again.frame(), Ok(Some(frame)));
            }
        }
    }
});
