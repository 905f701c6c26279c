//! A growing array whose copies share what did not change.
//!
//! Three levels of nodes behind counted pointers, 8, 32 and 32 wide, under a plain list. Copying
//! the array copies the list; changing one element copies the three nodes on its way, unless no
//! other copy holds them. So a writer works on a copy while readers keep the original.
//!
//! Narrow nodes, since copying a node touches the counter of each child, in cold memory.

use std::sync::Arc;

const LEAF: usize = 8;
const MIDDLE: usize = 32;
const TOP: usize = 32;

type Leaf<T> = [T; LEAF];
type Middle<T> = [Arc<Leaf<T>>; MIDDLE];
type Top<T> = [Arc<Middle<T>>; TOP];

/// An array of `T`. All elements beyond those ever set are `T::default()`.
#[derive(Clone)]
pub(super) struct Tree<T> {
    tops: Vec<Arc<Top<T>>>,
}

impl<T: Clone + Default> Tree<T> {
    /// Makes an array without elements.
    pub(super) fn new() -> Self {
        Self { tops: Vec::new() }
    }

    /// Makes an array of many elements at once.
    pub(super) fn of(all: Vec<T>) -> Self {
        let mut all = all.into_iter();
        let empty: Arc<Leaf<T>> = Arc::new(std::array::from_fn(|_| T::default()));
        let mut tops = Vec::with_capacity(all.len().div_ceil(LEAF * MIDDLE * TOP));
        while all.len() > 0 {
            let mut leaf = || match all.len() {
                0 => empty.clone(),
                _ => Arc::new(std::array::from_fn(|_| all.next().unwrap_or_default())),
            };
            let mut middle = || Arc::new(std::array::from_fn(|_| leaf()));
            tops.push(Arc::new(std::array::from_fn(|_| middle())));
        }
        Self { tops }
    }

    /// Gives element `at`. Panics past [`Self::len`].
    #[inline]
    pub(super) fn get(&self, at: usize) -> &T {
        let top = &self.tops[at / (LEAF * MIDDLE * TOP)];
        &top[at / (LEAF * MIDDLE) % TOP][at / LEAF % MIDDLE][at % LEAF]
    }

    /// Gives element `at` for changing, growing the array to hold it.
    pub(super) fn get_mut(&mut self, at: usize) -> &mut T {
        let top = at / (LEAF * MIDDLE * TOP);
        while self.tops.len() <= top {
            let leaf: Arc<Leaf<T>> = Arc::new(std::array::from_fn(|_| T::default()));
            let middle: Arc<Middle<T>> = Arc::new(std::array::from_fn(|_| leaf.clone()));
            self.tops.push(Arc::new(std::array::from_fn(|_| middle.clone())));
        }
        let top = Arc::make_mut(&mut self.tops[top]);
        let middle = Arc::make_mut(&mut top[at / (LEAF * MIDDLE) % TOP]);
        &mut Arc::make_mut(&mut middle[at / LEAF % MIDDLE])[at % LEAF]
    }

    /// How many elements can be read, set ones or not.
    pub(super) fn len(&self) -> usize {
        self.tops.len() * LEAF * MIDDLE * TOP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_keeps_what_the_original_changes() {
        let mut tree = Tree::new();
        for at in 0..20_000 {
            *tree.get_mut(at) = at as u32;
        }
        let copy = tree.clone();
        for at in (0..20_000).step_by(7) {
            *tree.get_mut(at) = 0;
        }
        assert!((0..20_000).all(|at| *copy.get(at) == at as u32));
        assert!((0..20_000).all(|at| *tree.get(at) == if at % 7 == 0 { 0 } else { at as u32 }));
        assert_eq!(*tree.get(tree.len() - 1), 0);
    }

    #[test]
    fn many_elements_at_once_stand_where_they_would_one_by_one() {
        for count in [0, 1, 7, 8, 9, 8_191, 8_192, 8_193, 20_000] {
            let tree = Tree::of((1..=count).collect::<Vec<u32>>());
            assert_eq!(tree.len(), (count as usize).next_multiple_of(8_192));
            for at in 0..tree.len() as u32 {
                assert_eq!(*tree.get(at as usize), if at < count { at + 1 } else { 0 });
            }
        }
    }

    #[test]
    fn a_change_copies_only_its_own_leaf() {
        let mut tree = Tree::new();
        *tree.get_mut(8_191) = 1_u32;
        let copy = tree.clone();
        *tree.get_mut(0) = 2;
        assert!(!std::ptr::eq(tree.get(0), copy.get(0)));
        assert!(std::ptr::eq(tree.get(8_191), copy.get(8_191)));
    }
}
