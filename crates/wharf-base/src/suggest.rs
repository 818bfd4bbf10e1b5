//! "Did you mean": the known word that is nearest to an unknown one.

/// Returns the candidate that is nearest to `word`, if it is near enough to be a slip of the finger.
///
/// Nearness is the optimal-string-alignment distance; at most a third of the word may differ.
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // LIMIT: words longer than this are no typing mistakes of any key that we have.
    if word.len() > 64 {
        return None;
    }
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(word, candidate), candidate))
        .filter(|(distance, candidate)| {
            *distance <= allowed || (candidate.starts_with(word) && word.len() >= 3)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_near_words_only() {
        let keys = ["image", "environment", "healthcheck", "ports"];
        for (word, expected) in [
            ("imgae", Some("image")),
            ("enviroment", Some("environment")),
            ("healtcheck", Some("healthcheck")),
            ("port", Some("ports")),
            ("volumes", None),
            ("x", None),
        ] {
            assert_eq!(suggest(word, keys), expected, "{word}");
        }
    }
}
