use std::time::Duration;

use serde_json::Value;

/// JSON over HTTP to a server on this machine; any status is an answer.
#[derive(Debug, Clone)]
pub(crate) struct JsonHttp {
    agent: ureq::Agent,
    base: String,
}

/// A status and the JSON that came with it; null if there was none.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl JsonHttp {
    pub(crate) fn new(base: String, timeout: Duration) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .timeout_global(Some(timeout))
            .build()
            .new_agent();
        Self { agent, base }
    }

    pub(crate) fn get(&self, path: &str) -> Result<Answer, ureq::Error> {
        answer(self.agent.get(self.url(path)).call()?)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        answer(self.agent.put(self.url(path)).send_json(body)?)
    }

    pub(crate) fn put_empty(&self, path: &str) -> Result<Answer, ureq::Error> {
        answer(self.agent.put(self.url(path)).send_empty()?)
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        answer(self.agent.post(self.url(path)).send_json(body)?)
    }

    pub(crate) fn post_empty(&self, path: &str) -> Result<Answer, ureq::Error> {
        answer(self.agent.post(self.url(path)).send_empty()?)
    }

    pub(crate) fn delete(&self, path: &str) -> Result<Answer, ureq::Error> {
        answer(self.agent.delete(self.url(path)).call()?)
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }
}

fn answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let text = response.body_mut().read_to_string()?;
    Ok(Answer { status: response.status().as_u16(), body: serde_json::from_str(&text).unwrap_or(Value::Null) })
}
