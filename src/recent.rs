//! What is kept for the next time, up to a number.

/// Values that are made once and used again. What was not used for longest is forgotten beyond `MOST`.
#[derive(Debug)]
pub(crate) struct Recent<K, V, const MOST: usize>(Vec<(K, V)>);

impl<K, V, const MOST: usize> Default for Recent<K, V, MOST> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K: PartialEq, V: Clone, const MOST: usize> Recent<K, V, MOST> {
    /// The value that is there, or the one that `make` makes.
    pub(crate) fn get<E>(&mut self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<V, E> {
        // The one used last is at the end.
        let known = self.0.iter().position(|(known, _)| *known == key).map(|position| self.0.remove(position));
        let (key, value) = match known {
            Some(entry) => entry,
            None => (key, make()?),
        };
        self.0.push((key, value.clone()));
        if self.0.len() > MOST {
            self.0.remove(0);
        }
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    #[test]
    fn what_is_used_stays_and_what_was_not_used_for_longest_is_forgotten() {
        let (mut recent, mut made) = (Recent::<_, _, 3>::default(), Vec::new());
        for key in [0, 1, 0, 2, 3, 0, 1] {
            let value = recent.get(key, || {
                made.push(key);
                Ok::<_, Infallible>(key * 10)
            });
            assert_eq!(value, Ok(key * 10));
            assert!(recent.0.len() <= 3);
        }
        assert_eq!(made, [0, 1, 2, 3, 1]);
        assert_eq!(recent.get(9, || Err("no")), Err("no"));
        assert_eq!(recent.get(3, || Err("no")), Ok(30), "who could not be made takes nobody's room");
    }
}
