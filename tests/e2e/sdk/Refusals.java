// SPDX-License-Identifier: GPL-2.0-only
// Refusals.java - java.net.http.HttpClient, which offers h2c and sends head and body apart. Not with
// expectContinue(): up to Java 18 it waits for ever where the answer is no 100, whoever the server is.

import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;

class Refusals {
	static final String base = System.getenv("BASE");

	static HttpResponse<String> ask(HttpClient client, String key, byte[] body) throws Exception {
		HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(base + "/v1/chat/completions"))
			.timeout(Duration.ofSeconds(5))
			.header("content-type", "application/json");
		if (key != null)
			request.header("Authorization", "Bearer " + key);
		request.POST(HttpRequest.BodyPublishers.ofByteArray(body));
		return client.send(request.build(), HttpResponse.BodyHandlers.ofString());
	}

	static void refused(HttpClient client, String what, String key, byte[] body, int status, String code)
		throws Exception {
		HttpResponse<String> got = ask(client, key, body);
		String id = got.headers().firstValue("x-request-id").orElse("none");

		if (got.statusCode() != status || !got.body().contains("\"code\":\"" + code + "\"") ||
		    !id.matches("req_[0-9a-f]{16}")) {
			System.out.println("  FAIL  Java, " + what + ": " + got.statusCode() + " " + got.headers() + got.body());
			System.exit(1);
		}
		System.out.println("  ok    Java, " + what + ": " + status + " " + code);
	}

	public static void main(String[] arguments) throws Exception {
		byte[] small = "{\"model\":\"m\"}".getBytes(), big = new byte[5000000];

		java.util.Arrays.fill(big, (byte)'x');
		for (HttpClient.Version version : HttpClient.Version.values()) {
			HttpClient client = HttpClient.newBuilder().version(version).build();
			String as = version == HttpClient.Version.HTTP_2 ? ", Upgrade: h2c" : "";

			refused(client, "no key" + as, null, small, 401, "missing_api_key");
			refused(client, "unknown key" + as, System.getenv("UNKNOWN"), small, 401, "invalid_api_key");
			refused(client, "disabled key" + as, System.getenv("OFF"), small, 401, "api_key_disabled");
			refused(client, "5 MB" + as, System.getenv("UNKNOWN"), big, 401, "invalid_api_key");
			if (ask(client, System.getenv("KEY"), small).statusCode() != 200) {
				System.out.println("  FAIL  Java, good key" + as);
				System.exit(1);
			}
			System.out.println("  ok    Java, good key" + as);
		}
		System.exit(0); /* not waiting for the client's threads */
	}
}
