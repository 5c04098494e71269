// Logs in through the API. The token of the start is behind #, which no server sees.

document.addEventListener("DOMContentLoaded", () => {
  const form = document.getElementById("login");
  const told = document.getElementById("told");

  function next() {
    const wanted = new URLSearchParams(location.search).get("next") || "/";
    // Only to one of our own pages, whole: a path alone may begin with //.
    const place = new URL(wanted, location.origin);
    return place.origin === location.origin ? place.href : "/";
  }

  async function logIn(body) {
    told.textContent = "";
    try {
      const answer = await fetch("/api/v1/session", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify(body),
      });
      if (answer.ok) {
        location.replace(next());
        return;
      }
      const { error } = await answer.json();
      told.textContent = error?.message || `not logged in (${answer.status})`;
    } catch (error) {
      told.textContent = `the server does not answer: ${error.message}`;
    }
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { name, password, token } = Object.fromEntries(new FormData(form));
    logIn(token ? { token } : { name, password });
  });

  const shown = new URLSearchParams(location.hash.slice(1)).get("token");
  if (shown) {
    history.replaceState(null, "", location.pathname + location.search);
    logIn({ token: shown });
  }
});
