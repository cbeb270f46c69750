//! Files that can all reach each other.

use std::collections::BTreeSet;

use super::arrows::Arrows;

/// Returns the groups of files that can all reach each other.
pub(crate) fn cycles(arrows: &Arrows) -> Vec<BTreeSet<String>> {
    let mut found: Vec<BTreeSet<String>> = Vec::new();
    for file in arrows.files() {
        if found.iter().any(|cycle| cycle.contains(file)) {
            continue;
        }
        let reached = arrows.reachable(file);
        if reached.contains(file) {
            let group = reached.iter().filter(|other| arrows.reachable(other).contains(file));
            found.push(group.map(|it| (*it).to_owned()).collect());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;
    use crate::modules::Crate;

    /// Returns the cycles of a crate of these files.
    fn cycles_of(name: &str, files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        for (path, text) in files {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let arrows = Arrows::between(&Crate::read(&directory.join("lib.rs")), &directory);
        cycles(&arrows).into_iter().map(|cycle| cycle.into_iter().collect()).collect()
    }

    #[test]
    fn files_that_name_items_of_each_other_are_a_cycle() {
        let direct = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use super::b::B; struct A(B);"),
            ("b.rs", "struct B; fn f(a: crate::a::A) {}"),
        ];
        assert_eq!(cycles_of("direct", &direct), [["a.rs", "b.rs"]]);

        let over_a_re_export = [
            ("lib.rs", "mod a; mod b; pub use self::b::B;"),
            ("a.rs", "use crate::B; struct A(B);"),
            ("b.rs", "use crate::a; struct B; fn f() -> a::A { todo() }"),
        ];
        assert_eq!(cycles_of("over_a_re_export", &over_a_re_export), [["a.rs", "b.rs"]]);

        let with_the_parent =
            [("lib.rs", "mod a; struct Top; fn f() { a::f() }"), ("a.rs", "pub fn f() -> super::Top { todo() }")];
        assert_eq!(cycles_of("with_the_parent", &with_the_parent), [["a.rs", "lib.rs"]]);
    }

    #[test]
    fn what_is_passed_on_or_of_tests_only_is_no_cycle() {
        let passed_on =
            [("lib.rs", "mod a; pub use self::a::A; pub struct Top;"), ("a.rs", "use super::Top; pub struct A(Top);")];
        assert!(cycles_of("passed_on", &passed_on).is_empty());

        let of_tests = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "use super::b::B; struct A(B);"),
            ("b.rs", "struct B; #[cfg(test)] mod tests { use crate::a::A; }"),
        ];
        assert!(cycles_of("of_tests", &of_tests).is_empty());

        let by_method = [
            ("lib.rs", "mod a; mod b;"),
            ("a.rs", "struct A; impl A { fn f(&self) { self.g() } }"),
            ("b.rs", "use crate::a::A; impl A { fn g(&self) {} }"),
        ];
        assert!(cycles_of("by_method", &by_method).is_empty());
    }
}
