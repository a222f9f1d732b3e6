//! A table of so many: one more throws out what was not looked for the longest.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::hash::Hash;

/// Things by key, the least lately used first out.
#[derive(Debug)]
pub(super) struct Recent<K, V> {
    items: HashMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
    number: u64,
    count_max: usize,
}

impl<K: Clone + Eq + Hash, V> Recent<K, V> {
    pub(super) fn new(count_max: usize) -> Self {
        Self { items: HashMap::new(), order: BTreeMap::new(), number: 0, count_max }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// What is there, as of now the last to go.
    pub(super) fn find(&mut self, key: &K) -> Option<&mut V> {
        let (number, value) = self.items.get_mut(key)?;
        self.order.remove(number);
        self.number = self.number.wrapping_add(1);
        *number = self.number;
        self.order.insert(self.number, key.clone());
        Some(value)
    }

    /// In place of what there may be.
    pub(super) fn put(&mut self, key: K, value: V) {
        self.remove(&key);
        while self.items.len() >= self.count_max {
            let Some((_, oldest)) = self.order.pop_first() else { break };
            self.items.remove(&oldest);
        }
        self.number = self.number.wrapping_add(1);
        self.order.insert(self.number, key.clone());
        self.items.insert(key, (self.number, value));
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let (number, value) = self.items.remove(key)?;
        self.order.remove(&number);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_looked_for_the_longest_goes_first_and_nothing_is_left_of_it() {
        let mut recent = Recent::new(2);
        recent.put("a", 1);
        recent.put("b", 2);
        assert_eq!(recent.find(&"a"), Some(&mut 1));
        recent.put("c", 3);
        assert_eq!(recent.find(&"b"), None);
        assert_eq!((recent.items.len(), recent.order.len()), (2, 2));
        recent.put("a", 4);
        assert_eq!((recent.remove(&"a"), recent.remove(&"a")), (Some(4), None));
        assert_eq!((recent.items.len(), recent.order.len()), (1, 1));
    }
}
