//! "Did you mean": the closest of the known words by edit distance.

/// The known word that is most likely meant, if one is near enough: one edit in three characters. Words of one or two
/// characters are near to everything, so nothing is suggested for them.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let limit = word.len() / 3;
    if limit == 0 {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let bound = best.map_or(limit, |(distance, _)| distance - 1);
        if candidate.len().abs_diff(word.len()) > bound + 4 {
            continue;
        }
        if let Some(distance) = distance_within(&word, candidate, bound) {
            if distance == 0 {
                return Some(candidate);
            }
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// ``did you mean `priority`?``, or what is given instead.
pub fn or_else<'a>(word: &str, known: impl IntoIterator<Item = &'a str>, otherwise: impl FnOnce() -> String) -> String {
    closest(word, known).map_or_else(otherwise, |meant| format!("did you mean `{meant}`?"))
}

/// Edits (insert, remove, replace, swap of neighbours) from one to the other, if at most `bound`.
fn distance_within(word: &[char], candidate: &str, bound: usize) -> Option<usize> {
    let candidate: Vec<char> = candidate.chars().flat_map(char::to_lowercase).collect();
    if candidate.len().abs_diff(word.len()) > bound {
        return None;
    }
    let width = candidate.len() + 1;
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (vec![0; width], (0..width).collect());
    for (row, character) in word.iter().enumerate() {
        let mut current = vec![row + 1; width];
        for (column, other) in candidate.iter().enumerate() {
            let replace = last[column] + usize::from(character != other);
            let mut cheapest = replace.min(last[column + 1] + 1).min(current[column] + 1);
            let swapped = row > 0 && column > 0 && *character == candidate[column - 1] && word[row - 1] == *other;
            if swapped {
                cheapest = cheapest.min(before[column - 1] + 1);
            }
            current[column + 1] = cheapest;
        }
        if current.iter().min().is_none_or(|least| *least > bound) {
            return None;
        }
        before = std::mem::replace(&mut last, current);
    }
    last.last().copied().filter(|distance| *distance <= bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_distant_one_is_not() {
        let known = ["priority", "dependencies", "department", "name", "nice"];
        for (word, meant) in [
            ("prioritty", Some("priority")),
            ("priotiry", Some("priority")),
            ("dependancies", Some("dependencies")),
            ("Name", Some("name")),
            ("anme", Some("name")),
            ("colour", None),
            ("na", None),
            ("", None),
        ] {
            assert_eq!(closest(word, known), meant, "{word}");
        }
    }
}
