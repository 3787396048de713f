'use strict';

// For HEALTHCHECK: exits with 0 if the service answers.
const url = `http://127.0.0.1:${process.env.PORT ?? 3000}/healthz`;

fetch(url, { signal: AbortSignal.timeout(2000) })
  .then((response) => process.exit(response.ok ? 0 : 1))
  .catch((error) => {
    console.error(`${url}: ${error.message}`);
    process.exit(1);
  });
