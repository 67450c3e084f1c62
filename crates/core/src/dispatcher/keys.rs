//! The live executions of one agent, in the order of admission. Most agents have none or one, so those take no memory
//! of their own.

use std::ops::Deref;

use crate::queue::RunKey;

/// A short list.
#[derive(Debug, Default)]
pub(super) enum Keys {
    #[default]
    None,
    One(RunKey),
    Many(Vec<RunKey>),
}

impl Deref for Keys {
    type Target = [RunKey];
    fn deref(&self) -> &[RunKey] {
        match self {
            Self::None => &[],
            Self::One(key) => std::slice::from_ref(key),
            Self::Many(keys) => keys,
        }
    }
}

impl Keys {
    pub fn push(&mut self, key: RunKey) {
        match self {
            Self::None => *self = Self::One(key),
            Self::One(first) => *self = Self::Many(vec![*first, key]),
            Self::Many(keys) => keys.push(key),
        }
    }

    /// Takes one out, if it is there.
    pub fn remove(&mut self, key: RunKey) {
        match self {
            Self::One(only) if *only == key => *self = Self::None,
            Self::None | Self::One(_) => {}
            Self::Many(keys) => {
                if let Some(position) = keys.iter().position(|other| *other == key) {
                    keys.remove(position);
                }
                if keys.is_empty() {
                    *self = Self::None;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_the_order_from_none_to_many_and_back() {
        let key = |index| RunKey { index, generation: 1 };
        let mut keys = Keys::default();
        for index in 0..3 {
            keys.push(key(index));
        }
        keys.remove(key(9));
        keys.remove(key(1));
        assert_eq!(keys[..], [key(0), key(2)]);
        keys.remove(key(0));
        keys.remove(key(2));
        assert!(keys.is_empty());
        keys.push(key(7));
        keys.remove(key(8));
        assert_eq!(keys.first(), Some(&key(7)));
    }
}
