//! Pages of lists: `limit` and `cursor` go in, `next` comes out, null at the end.
//!
//! Invariant: whoever follows `next` to the end sees each item once that was there all the time, whatever comes and goes
//! meanwhile; an item that a cursor stands on and that is gone is told with 410.

use actix_web::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;

use super::given;
use crate::problem::Problem;

/// Items of a page of a short list: all of most of them.
const SHORT: usize = 1_000;

/// Which part of a short list is wanted.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Part {
    /// At most so many; without: 1,000.
    #[param(minimum = 1, maximum = 1_000)]
    limit: Option<usize>,
    /// `next` of the page before.
    cursor: Option<String>,
}

impl Part {
    /// That part of the list, and the cursor of the next one. `key` tells the items apart.
    ///
    /// # Errors
    /// 400: a limit out of bounds. 410: the item that the cursor stands on is gone.
    pub fn of<T>(&self, items: Vec<T>, key: impl Fn(&T) -> String) -> Result<(Vec<T>, Option<String>), Problem> {
        page(items, limit(self.limit, SHORT, SHORT)?, self.cursor.as_ref(), key)
    }
}

/// The limit that is meant: `usual` if none is given.
///
/// # Errors
/// 400: none, or more than `most`.
pub(crate) fn limit(wanted: Option<usize>, usual: usize, most: usize) -> Result<usize, Problem> {
    match wanted {
        None => Ok(usual),
        Some(limit) if (1..=most).contains(&limit) => Ok(limit),
        Some(limit) => Err(Problem::bad_request(format!("limit is {limit}; it may be 1 to {most}"))),
    }
}

/// One page of a list that is there as a whole, and the cursor of the next. `key` tells the items apart.
///
/// # Errors
/// 410: the item that the cursor stands on is gone.
pub(crate) fn page<T>(
    mut items: Vec<T>,
    limit: usize,
    cursor: Option<&String>,
    key: impl Fn(&T) -> String,
) -> Result<(Vec<T>, Option<String>), Problem> {
    if let Some(cursor) = given(cursor) {
        let Some(last) = items.iter().position(|item| key(item) == cursor) else {
            let text = format!("what the cursor {cursor:?} stands on is gone");
            return Err(Problem::new(StatusCode::GONE, text).hint("begin anew, without a cursor"));
        };
        items.drain(..=last);
    }
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(key);
    Ok((items, next))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn following_next_tells_each_item_once() {
        for (count, limit) in [(0, 1), (1, 1), (5, 1), (5, 2), (6, 2), (6, 100)] {
            let (mut seen, mut cursor) = (Vec::new(), None);
            loop {
                let (items, next) = page((0..count).collect(), limit, cursor.as_ref(), i32::to_string).unwrap();
                seen.extend(items);
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
            assert!(seen.iter().copied().eq(0..count), "{count} by {limit}: {seen:?}");
        }
    }

    #[test]
    fn limits_have_bounds_and_a_cursor_may_be_gone() {
        assert!(limit(None, 100, 1_000).is_ok_and(|limit| limit == 100));
        assert!(limit(Some(0), 100, 1_000).is_err() && limit(Some(1_001), 100, 1_000).is_err());
        let gone = page(vec![1, 2], 10, Some(&"3".to_owned()), i32::to_string).unwrap_err();
        assert_eq!(serde_json::to_value(gone).unwrap()["status"], 410);
    }
}
