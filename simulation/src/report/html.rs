//! The report as one HTML page that needs nothing else: no script, no font, no request.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Value, context};

use super::layout::Drawing;
use super::{Overall, Report, evidence, titled};

impl Report {
    /// The page.
    pub fn to_html(&self) -> String {
        let mut environment = Environment::new();
        // Everything that a subject or a workload names is text, never markup.
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        let mut syntax = SyntaxConfig::builder();
        syntax.trim_blocks(true).lstrip_blocks(true);
        environment.set_syntax(syntax.build().expect("the usual delimiters are valid"));
        for (name, text) in [
            ("page.html", include_str!("templates/page.html")),
            ("style.css", include_str!("templates/style.css")),
            ("timeline.svg", include_str!("templates/timeline.svg")),
        ] {
            environment.add_template(name, text).expect("our own templates parse; a test renders each");
        }
        let page = environment.get_template("page.html").expect("it was added above");
        page.render(self.values()).expect("our own templates render; a test renders each")
    }

    fn values(&self) -> Value {
        let rows: Vec<_> = self
            .rows()
            .into_iter()
            .map(|row| {
                let info = row.property.info();
                context! {
                    verdict => row.verdict.word(),
                    class => row.verdict.word().to_lowercase().replace(' ', "-"),
                    property => row.property.id(),
                    sentence => info.sentence,
                    precise => info.precise,
                    words => row.promise.as_ref().map(|promise| &promise.words),
                    source => row.promise.as_ref().map(|promise| &promise.source),
                    evidence => evidence(&row.verdict),
                    case => self.case_of(row.property).map(|case| case + 1),
                }
            })
            .collect();
        let cases: Vec<_> = self
            .cases
            .iter()
            .map(|case| {
                let story = &case.counterexample;
                context! {
                    title => titled(&story.title),
                    property => story.property.id(),
                    sentence => story.property.info().sentence,
                    contradiction => story.contradiction.as_str(),
                    chance => story.last_chance.as_ref().map(|chance| {
                        context! { number => chance.moment + 1, instead => chance.instead.as_str() }
                    }),
                    anomaly => case.anomaly.map(|anomaly| anomaly.words()),
                    seen => case.seen,
                    advice => case.advice.as_deref(),
                    shortest => case.shortest.as_deref(),
                    schedule => story.schedule.to_string(),
                    replay => story.replay.as_str(),
                    drawing => Value::from(Serde(Drawing::of(&case.timeline))),
                }
            })
            .collect();
        let overall = match self.overall() {
            Overall::Kept => "KEPT",
            Overall::Broken => "BROKEN",
            Overall::Incomplete => "INCOMPLETE",
        };
        context! {
            subject => self.subject.as_str(),
            overall => overall,
            class => overall.to_lowercase(),
            headline => self.headline(),
            scope => self.scope.as_str(),
            facts => self.facts.clone(),
            recovery => self.recovery_line(),
            anomalies => self.judgements.anomalies().into_iter()
                .map(|(anomaly, count)| (anomaly.words(), count)).collect::<Vec<_>>(),
            histories => self.judgements.histories,
            rows => rows,
            cases => cases,
            command => self.command.as_str(),
            band => Drawing::BAND,
            detail => [Drawing::DETAIL.0, Drawing::DETAIL.1],
        }
    }
}
