use axum::body::{Body, to_bytes};
use axum::http::Request;
use order_service::{AppState, Database, PageAccess, app};
use outbox_core::Pipeline;
use outbox_test_support::eventually;
use tower::ServiceExt as _;

use crate::fixture::{Service, set_up};

const ORDER: &str = r#"{"customer_id":1,"product_id":101,"quantity":2}"#;

#[tokio::test]
async fn without_a_database_the_answer_is_503_and_tells_nothing_of_it() {
    let database = Database::new("postgres://someone:secret@127.0.0.1:1/somewhere").unwrap();
    let app = app(AppState::new(database.pool().await.unwrap(), Pipeline::recommended()));
    for request in [
        Request::post("/orders").header("content-type", "application/json").body(Body::from(ORDER)),
        Request::get("/orders").body(Body::empty()),
        Request::get("/orders/1").body(Body::empty()),
        Request::get("/received").body(Body::empty()),
        Request::get("/ready").body(Body::empty()),
    ] {
        let response = app.clone().oneshot(request.unwrap()).await.unwrap();
        assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"1".parse().unwrap()));
        assert_eq!(response.headers()["content-type"], "application/problem+json");
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = String::from_utf8(body.to_vec()).unwrap();
        for internal in ["127.0.0.1", "someone", "secret", "somewhere", "refused"] {
            assert!(!body.contains(internal), "{body}");
        }
    }
}

#[tokio::test]
async fn without_a_database_the_metrics_are_scraped_and_the_page_says_it() {
    let database = Database::new("postgres://someone:secret@127.0.0.1:1/somewhere").unwrap();
    let state = AppState::new(database.pool().await.unwrap(), Pipeline::recommended());
    let app = app(state.page(PageAccess::Read, "order-service"));
    let text = async |path: &str| {
        let response = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        String::from_utf8(to_bytes(response.into_body(), usize::MAX).await.unwrap().to_vec()).unwrap()
    };
    assert!(text("/metrics").await.contains("order_service_database_up 0\n"));

    let page = text("/").await;
    assert!(page.contains("The database cannot be reached") && !page.contains("secret"), "{page}");
    // What only reads has neither a form nor the routes that change something.
    assert!(!page.contains("<form"), "{page}");
    let order = Request::post("/page/orders").body(Body::from("customer_id=1&product_id=1&quantity=1")).unwrap();
    assert_eq!(app.clone().oneshot(order).await.unwrap().status(), 404);
}

#[tokio::test]
async fn a_failed_enqueue_leaves_no_order_and_is_logged_with_its_cause() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    let client = env.client().await;
    client.batch_execute("ALTER TABLE outbox.outbox_message RENAME TO hidden").await.unwrap();
    let answer = service.post("/orders", ORDER).await;
    assert_eq!(answer.status, 500, "{answer:?}");
    assert!(answer.problem_fields().is_empty());
    assert!(!answer.text.contains("outbox_message"), "{answer:?}");

    let logged = eventually("the error is logged", async || service.entry("request failed")).await;
    assert!(logged["error"].as_str().unwrap().contains("outbox.outbox_message\" does not exist"), "{logged}");
    client.batch_execute("ALTER TABLE outbox.hidden RENAME TO outbox_message").await.unwrap();
    assert_eq!(env.count("order_service.orders").await, 0);
    service.order(2).await;
}

#[tokio::test]
async fn lost_connections_are_replaced() {
    let env = set_up().await;
    let service = Service::start(&env, "api").await;
    service.order(1).await;
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND application_name = 'order-service'";

    assert!(!env.client().await.query(sql, &[]).await.unwrap().is_empty());
    eventually("an order is taken again", async || {
        let answer = service.post("/orders", ORDER).await;
        assert!([201, 503].contains(&answer.status), "{answer:?}");
        (answer.status == 201).then_some(())
    })
    .await;
    assert_eq!(env.count("order_service.orders").await, env.count("outbox.outbox_message").await);
}
