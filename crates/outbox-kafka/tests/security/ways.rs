use outbox_kafka::{Pem, Properties, Sasl, Security, TokenSource, Verification};
use xtask::stack::unsecured_token;

use crate::heard::Heard;
use crate::kafka::{Authority, Files, HOUR, PASSWORD, SecureKafka, USER};

fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

#[tokio::test]
async fn each_way_of_security_writes_and_shows_no_secret() {
    let heard = Heard::listen();
    let (kafka, files) = (SecureKafka::start(|builder| builder), Files::new());
    let own = kafka.authority.sign("relay");
    let key = own.key.serialize_pem();
    let token = unsecured_token(USER, HOUR);
    let token_file = files.write("token", &token);
    let ca = files.write("ca.pem", kafka.authority.pem());
    let certificate = files.write("own.pem", &own.certificate);
    let der = files.write("own.pk8", own.key.serialize_der());
    let both = files.write("both.pem", format!("{key}{}", own.certificate));
    let tls = || Security::new().tls(kafka.tls());

    let mut ways = vec![
        ("PLAINTEXT", Security::new()),
        ("SSL", tls()),
        ("MUTUAL", Security::new().tls(own.tls(kafka.tls()))),
        ("MUTUAL", Security::new().tls(kafka.tls().identity(Pem::file(&certificate), Pem::file(&der)))),
        ("OPENLOGIN", Security::new().sasl(Sasl::scram_sha_512(USER, PASSWORD))),
    ];
    for sasl in [
        Sasl::plain(USER, PASSWORD),
        Sasl::scram_sha_256(USER, PASSWORD),
        Sasl::scram_sha_512(USER, PASSWORD),
        Sasl::oauth_bearer(TokenSource::file(&token_file)),
        Sasl::oauth_bearer(TokenSource::command(format!("cat {token_file}"))),
        Sasl::oauth_bearer(TokenSource::command(format!(
            "printf '{{\"access_token\":\"%s\",\"expires_in\":3600}}' $(cat {token_file})"
        )))
        .extension("traceId", "1"),
    ] {
        ways.push(("LOGIN", tls().sasl(sasl)));
    }

    // As a client's properties file has it.
    let login = "org.apache.kafka.common.security";
    let password = format!("required username=\"{USER}\" password=\"{}\";", quoted(PASSWORD));
    let one_line = kafka.authority.pem().replace('\n', "\\n");
    let folded = key.trim().replace('\n', " \\\n");
    let chain = own.certificate.trim().replace('\n', " \\\n");
    let trust = format!("ssl.truststore.type=PEM\nssl.truststore.location={ca}\n");
    let jaas = |text: &str| text.replace('\\', "\\\\");

    for (listener, file) in [
        ("PLAINTEXT", "# nothing\n".to_owned()),
        ("SSL", format!("security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.certificates={one_line}\n")),
        ("MUTUAL", format!("security.protocol=SSL\n{trust}ssl.keystore.type=PEM\nssl.keystore.location={both}\n")),
        (
            "MUTUAL",
            format!(
                "security.protocol=SSL\n{trust}ssl.keystore.type=PEM\nssl.keystore.key={folded}\n\
                 ssl.keystore.certificate.chain={chain}\n"
            ),
        ),
        (
            "LOGIN",
            format!(
                "security.protocol=SASL_SSL\n{trust}sasl.mechanism=PLAIN\n\
                 sasl.jaas.config={login}.plain.PlainLoginModule {}\n",
                jaas(&password)
            ),
        ),
        (
            "LOGIN",
            format!(
                "security.protocol=SASL_SSL\n{trust}sasl.mechanism=SCRAM-SHA-256\n\
                 sasl.jaas.config={login}.scram.ScramLoginModule {}\n",
                jaas(&password)
            ),
        ),
        (
            "OPENLOGIN",
            format!(
                "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=OAUTHBEARER\nclient.id=hunter2\n\
                 sasl.oauthbearer.token.endpoint.url=file://{token_file}\n\
                 sasl.jaas.config={login}.oauthbearer.OAuthBearerLoginModule required;\n"
            ),
        ),
    ] {
        ways.push((listener, Security::from_properties(&Properties::parse(&file)).unwrap()));
        let path = files.write(&format!("client-{}.properties", ways.len()), &file);
        ways.push((listener, Security::from_properties_file(path).unwrap()));
    }

    let mut shown = String::new();
    for (listener, security) in ways {
        shown.push_str(&format!("{security:?} {security:#?}"));
        let mut client = kafka.client(listener, security);
        client.write().await;
        shown.push_str(&format!("{:?}", client.cluster));
    }
    shown.push_str(&heard.text());
    for secret in [PASSWORD, "hunter2", &token, key.lines().nth(1).unwrap()] {
        assert!(!shown.contains(secret), "{secret} is shown:\n{shown}");
    }
    // One warning for each login, however often it connects; and one that lists the names of other properties.
    assert!(heard.text().contains("login to Kafka without TLS"), "{}", heard.text());
    assert!(heard.text().contains("names=\"client.id\""), "{}", heard.text());
}

#[tokio::test]
async fn a_host_name_need_not_be_that_of_the_certificate_if_the_check_is_off() {
    let kafka = SecureKafka::start(|builder| builder);
    let port = kafka.cluster.address(1, "SSL").unwrap();
    let address = port.replace("localhost", "127.0.0.1");
    let off = "security.protocol=SSL\nssl.endpoint.identification.algorithm=\nssl.truststore.certificates=";
    let file = format!("{off}{}", kafka.authority.pem().replace('\n', "\\n"));
    let lenient = Security::from_properties(&Properties::parse(&file)).unwrap();
    crate::kafka::Client::new(&address, lenient).connects().await.unwrap();

    let strict = Security::new().tls(kafka.tls());
    let error = crate::kafka::Client::new(&address, strict).connects().await.unwrap_err();
    assert!(error.is_authentication() && error.to_string().contains("does not name this host"), "{error}");
    // The chain is still checked.
    let other = Security::new().tls(kafka.tls().roots(Authority::new().roots()).verification(Verification::Chain));
    let error = crate::kafka::Client::new(&address, other).connects().await.unwrap_err();
    assert!(error.is_authentication() && error.to_string().contains("not trusted"), "{error}");
}
