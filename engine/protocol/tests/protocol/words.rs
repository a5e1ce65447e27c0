//! A line of a script: words, some of them `name=value`. A word that nobody asked for is an error.

/// What is left to read of a line.
pub struct Words<'a> {
    line: &'a str,
    left: Vec<&'a str>,
}

impl<'a> Words<'a> {
    /// The words of a line.
    pub fn of(line: &'a str) -> Self {
        Words { line, left: line.split_whitespace().collect() }
    }

    /// The next word that is no `name=value`.
    pub fn next(&mut self) -> &'a str {
        self.maybe().unwrap_or_else(|| self.fail("a word is missing"))
    }

    /// The next word that is no `name=value`, if there is one.
    pub fn maybe(&mut self) -> Option<&'a str> {
        let at = self.left.iter().position(|word| !word.contains('='))?;
        Some(self.left.remove(at))
    }

    /// Whether the next word is this one; then it is read.
    pub fn takes(&mut self, word: &str) -> bool {
        let found = self.left.first() == Some(&word);
        if found {
            self.left.remove(0);
        }
        found
    }

    /// The value of `name=value`, if it is there.
    pub fn value(&mut self, name: &str) -> Option<&'a str> {
        let at = self.left.iter().position(|word| word.split_once('=').is_some_and(|(key, _)| key == name))?;
        self.left.remove(at).split_once('=').map(|(_, value)| value)
    }

    /// The number of `name=number`.
    pub fn number<N: TryFrom<u64>>(&mut self, name: &str) -> N {
        self.number_or_none(name).unwrap_or_else(|| self.fail(&format!("no {name}=")))
    }

    /// The number of `name=number`; none where it says `none` or is missing.
    pub fn number_or_none<N: TryFrom<u64>>(&mut self, name: &str) -> Option<N> {
        match self.value(name) {
            None | Some("none") => None,
            Some(text) => Some(self.parse(text)),
        }
    }

    /// A word as a number; `max` is the largest of its column.
    pub fn parse<N: TryFrom<u64>>(&self, text: &str) -> N {
        let wide = match text {
            "max" => i64::MAX as u64,
            _ => text.parse::<u64>().unwrap_or_else(|_| self.fail(&format!("`{text}` is no number"))),
        };
        N::try_from(wide).unwrap_or_else(|_| self.fail(&format!("{wide} is too large")))
    }

    /// All has been read.
    pub fn end(self) {
        assert!(self.left.is_empty(), "`{}`: not understood: {:?}", self.line, self.left);
    }

    /// The line means nothing.
    pub fn fail(&self, why: &str) -> ! {
        panic!("`{}`: {why}", self.line)
    }
}
