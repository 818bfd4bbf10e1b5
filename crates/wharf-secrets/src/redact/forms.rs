//! In which forms a value may show.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::VALUE_BYTES_MIN;
use crate::Secret;

/// Beyond this, pieces are looked for instead of the whole: output is cut somewhere.
const WHOLE_BYTES_MAX: usize = 1_024;
/// Bytes of a piece: long enough to be nothing else by chance.
const PIECE_BYTES: usize = 64;

type Form = Zeroizing<Vec<u8>>;

/// Everything to look for because of one value.
pub(super) fn of(secret: &Secret) -> Vec<Form> {
    let mut forms = Vec::new();
    let value = secret.expose();
    let trimmed = value.trim_ascii();
    if trimmed.len() < VALUE_BYTES_MIN {
        return forms;
    }
    whole(trimmed, &mut forms);
    encoded(trimmed, &mut forms);
    if let Some(text) = secret.expose_text().filter(|text| text.trim().contains('\n')) {
        let lines = text.lines().map(str::trim).filter(|line| is_telling(line));
        for line in lines {
            whole(line.as_bytes(), &mut forms);
        }
    }
    forms
}

/// Not the frame of a key file, nor a bracket: those are everybody's.
fn is_telling(line: &str) -> bool {
    line.len() >= VALUE_BYTES_MIN + 2 && !line.starts_with("-----")
}

fn whole(value: &[u8], forms: &mut Vec<Form>) {
    if value.len() <= WHOLE_BYTES_MAX {
        forms.push(Zeroizing::new(value.to_vec()));
        return;
    }
    forms.extend(value.chunks_exact(PIECE_BYTES).map(|piece| Zeroizing::new(piece.to_vec())));
    forms.push(Zeroizing::new(value[value.len() - PIECE_BYTES..].to_vec()));
}

fn encoded(value: &[u8], forms: &mut Vec<Form>) {
    let mut add = |form: Vec<u8>| {
        if form != value && form.len() >= VALUE_BYTES_MIN {
            whole(&Zeroizing::new(form), forms);
        }
    };
    if let Ok(text) = std::str::from_utf8(value) {
        let json = serde_json::to_string(text).expect("a text is JSON");
        add(json.as_bytes()[1..json.len() - 1].to_vec());
        let debug = format!("{text:?}");
        add(debug.as_bytes()[1..debug.len() - 1].to_vec());
    }
    add(percent(value, b"-._~"));
    add(percent(value, b"-._~!$&'()*+,;=:@/"));
    for offset in 0..3 {
        // What stands before moves the value by one or two bytes; the characters that it shares with its neighbours say
        // nothing certain.
        let padded = Zeroizing::new([&[0; 2][..offset], value].concat());
        let (from, to) = ((offset * 8).div_ceil(6), padded.len() * 8 / 6);
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let text = Zeroizing::new(engine.encode(&padded));
            if to - from >= VALUE_BYTES_MIN + 2 {
                add(text.as_bytes()[from..to].to_vec());
            }
        }
    }
}

/// RFC 3986: everything but letters, digits and `kept` as `%XX`.
fn percent(value: &[u8], kept: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(value.len());
    for &byte in value {
        if byte.is_ascii_alphanumeric() || kept.contains(&byte) {
            text.push(byte);
        } else {
            text.extend_from_slice(format!("%{byte:02X}").as_bytes());
        }
    }
    text
}
