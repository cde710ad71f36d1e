// Shows the API's document with Swagger UI; nothing is fetched from elsewhere.
"use strict";

window.SwaggerUIBundle({ url: "/docs/openapi.json", dom_id: "#docs", deepLinking: true, validatorUrl: null });
