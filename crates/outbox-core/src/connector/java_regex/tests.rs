use super::*;

fn matches(pattern: &str, case: LetterCase, text: &str) -> bool {
    let regex = JavaRegex::with_case(pattern, case).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    regex.matches(text).unwrap()
}

/// The results are those of Java 17.
#[test]
fn expressions_match_as_in_java() {
    const CASES: &[(&str, &[&str], &[&str])] = &[
        ("public\\.(?!audit_).*", &["public.outbox", "public.audits"], &["public.audit_log", "x.outbox"]),
        ("(?!.*\\.old$)public\\..*", &["public.outbox"], &["public.outbox.old"]),
        (".*(?<!_old)", &["outbox", "_ol"], &["outbox_old"]),
        (".*(?<=box)", &["outbox"], &["boxes"]),
        ("(\\w+)\\.\\1", &["a.a", "ab.ab"], &["a.b"]),
        ("(?<n>a|b)-\\k<n>", &["a-a", "b-b"], &["a-b"]),
        ("(a)(b)(c)(d)(e)(f)(g)(h)(i)(j)\\10\\11", &["abcdefghijja1"], &["abcdefghijjk"]),
        ("a*+a", &[], &["a", "aaa"]),
        ("a*+b", &["b", "aab"], &[]),
        ("(?>a|ab)c", &["ac"], &["abc"]),
        ("a{1,2}+b", &["ab", "aab"], &["aaab"]),
        ("a{2}?", &["aa"], &["a"]),
        ("\\Qa.b*\\E+", &["a.b*", "a.b**"], &["axb*"]),
        ("\\Q(x", &["(x"], &["x"]),
        ("[\\Q^-]\\E]+", &["^-]"], &["x"]),
        ("\\p{Alpha}\\p{Digit}+", &["a12"], &["é1", "a٣"]),
        ("\\p{L}+", &["aé"], &["a1"]),
        ("\\pL\\PN", &["éa", "a-"], &["a1"]),
        ("\\p{Lu}\\p{IsAlphabetic}*", &["Éa"], &["éa"]),
        ("\\p{IsLatin}+", &["é"], &["я"]),
        ("[\\p{Upper}_]+", &["A_B"], &["a"]),
        ("\\p{javaLowerCase}", &["é"], &["É"]),
        ("\\w+", &["a_1"], &["é"]),
        ("\\d", &["1"], &["٣"]),
        ("\\h\\s", &["\u{a0} "], &["\n "]),
        ("[a-z&&[^b-d]]+", &["aez"], &["b"]),
        ("[a-c[x-z]]+", &["ax"], &["d"]),
        ("[^a-c&&b]", &["a", "d"], &["b"]),
        ("[]a]+", &["]a"], &["b"]),
        ("[a-]+", &["a-"], &["b"]),
        ("[&]", &["&"], &["a"]),
        (".", &["é", "😀"], &["\n", "\u{2028}", "\u{85}"]),
        ("(?s).", &["\n"], &[]),
        ("(?i)outbox", &["OutBox"], &["outbo\u{212a}"]),
        ("(?i:o)u", &["Ou"], &["oU"]),
        ("(?i)k", &["K"], &["\u{212a}"]),
        ("(?i)[a-f]x", &["Bx", "bX"], &["g"]),
        ("(?i)(a)\\1", &["aA"], &["ab"]),
        ("(?x) a b # comment", &["ab"], &["a b"]),
        ("^public\\.outbox$", &["public.outbox"], &["public.outbox\n"]),
        ("\\bout\\b.*", &["out box"], &["outbox"]),
        ("\\x41\\u0042\\x{43}\\0104\\t\\cA\\e", &["ABCD\t\u{1}\u{1b}"], &[]),
        ("\\uD83D\\uDE00", &["😀"], &[]),
        ("a\\-b\\_", &["a-b_"], &[]),
        ("a}]", &["a}]"], &[]),
        ("", &[""], &["a"]),
    ];
    for (pattern, matching, others) in CASES {
        for (texts, expected) in [(matching, true), (others, false)] {
            for text in *texts {
                assert_eq!(matches(pattern, LetterCase::Distinct, text), expected, "{pattern} at {text:?}");
            }
        }
    }
}

#[test]
fn letters_of_ascii_match_in_either_case() {
    for (pattern, text, expected) in [
        ("Public\\.OUTBOX", "pUBLIC.outbox", true),
        ("[a-f]", "F", true),
        ("[^a]", "A", false),
        ("\\p{Lower}", "A", true),
        ("\\Qab\\E", "AB", true),
        ("é", "É", false),
        ("k", "\u{212a}", false),
        ("(?-i)a", "A", false),
    ] {
        assert_eq!(matches(pattern, LetterCase::Ignored, text), expected, "{pattern} at {text}");
    }
}

#[test]
fn expressions_that_cannot_be_used_are_rejected_with_the_reason() {
    for (pattern, reason) in [
        ("(", "not closed"),
        (")", "not opened"),
        ("[a", "not closed"),
        ("*a", "nothing before *"),
        ("a**", "nothing before *"),
        ("a{x}", "number of repetitions"),
        ("\\", "nothing behind"),
        ("\\y", "\\y is not modelled"),
        ("\\X", "\\X is not modelled"),
        ("\\2(a)", "no group 2"),
        ("\\k<n>", "no group n"),
        ("\\p{InGreek}", "\\p{InGreek} is not modelled"),
        ("\\p{IsNoScript}", "too large"),
        ("(?m)^a", "the flag m"),
        ("(?<a>x)(?<a>y)", "two groups"),
        ("[b-a]", "wrong order"),
        ("(?P<a>x)", "nothing that Java knows"),
        (&"[".repeat(100), "too deeply"),
        (&"(".repeat(100_000), "not closed"),
    ] {
        let error = JavaRegex::parse(pattern).unwrap_err().to_string();
        assert!(error.contains(reason), "{pattern}: {error}");
    }
}

#[test]
fn an_endless_search_is_given_up() {
    let regex = JavaRegex::parse("(?:(a)|\\1a|a)*b").unwrap();
    let error = regex.matches(&"a".repeat(60)).unwrap_err().to_string();
    assert!(error.contains("steps back"), "{error}");
}

#[test]
fn an_escaped_text_matches_itself_only() {
    let text = "a.b-[c]{d}$\\#&~^";
    assert!(matches(&escape(text), LetterCase::Distinct, text));
    assert!(!matches(&escape("a.b"), LetterCase::Distinct, "axb"));
}
