// Command registry is an OCI distribution registry for tests: go-containerregistry's, on a loopback port, in memory
// or in a folder, open to all or behind Basic or Bearer authentication, over HTTP or, with a certificate, HTTPS.
//
//	registry [-addr 127.0.0.1:0] [-dir DIR] [-auth none|basic|bearer] [-user NAME] [-password WORD] [-cert FILE -key FILE]
//
// Its first line on standard output is the address that it listens on.
package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
)

type login struct{ user, password string }

func (l login) accepts(r *http.Request) bool {
	user, password, ok := r.BasicAuth()
	sameUser := subtle.ConstantTimeCompare([]byte(user), []byte(l.user)) == 1
	samePassword := subtle.ConstantTimeCompare([]byte(password), []byte(l.password)) == 1
	return ok && sameUser && samePassword
}

func refuse(w http.ResponseWriter, challenge string) {
	w.Header().Set("WWW-Authenticate", challenge)
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusUnauthorized)
	io.WriteString(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
}

func basic(next http.Handler, l login) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !l.accepts(r) {
			refuse(w, `Basic realm="test"`)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// claims of a token: what it allows and until when (Unix seconds).
type claims struct {
	Scopes []string `json:"scopes"`
	Until  int64    `json:"until"`
}

type issuer struct{ key []byte }

func (i issuer) mac(body string) string {
	m := hmac.New(sha256.New, i.key)
	m.Write([]byte(body))
	return base64.RawURLEncoding.EncodeToString(m.Sum(nil))
}

func (i issuer) issue(scopes []string) string {
	raw, _ := json.Marshal(claims{Scopes: scopes, Until: time.Now().Add(5 * time.Minute).Unix()})
	body := base64.RawURLEncoding.EncodeToString(raw)
	return body + "." + i.mac(body)
}

func (i issuer) read(token string) (claims, bool) {
	body, mac, _ := strings.Cut(token, ".")
	var c claims
	if !hmac.Equal([]byte(mac), []byte(i.mac(body))) {
		return c, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return c, false
	}
	return c, time.Now().Unix() < c.Until
}

// scopeOf says what a request needs: "" for the version check, else repository:NAME:pull or :pull,push.
func scopeOf(r *http.Request) string {
	rest, _ := strings.CutPrefix(r.URL.Path, "/v2/")
	for _, part := range []string{"/manifests/", "/blobs/", "/tags/", "/referrers/"} {
		if at := strings.Index(rest, part); at > 0 {
			if r.Method == http.MethodGet || r.Method == http.MethodHead {
				return "repository:" + rest[:at] + ":pull"
			}
			return "repository:" + rest[:at] + ":pull,push"
		}
	}
	return ""
}

func covers(granted, wanted string) bool {
	g, w := strings.Split(granted, ":"), strings.Split(wanted, ":")
	if len(g) != 3 || len(w) != 3 || g[0] != w[0] || g[1] != w[1] {
		return false
	}
	actions := strings.Split(g[2], ",")
	for _, action := range strings.Split(w[2], ",") {
		if !slices.Contains(actions, action) {
			return false
		}
	}
	return true
}

func bearer(next http.Handler, l login, scheme string) http.Handler {
	key := make([]byte, 32)
	rand.Read(key)
	tokens := issuer{key}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			if !l.accepts(r) {
				refuse(w, `Basic realm="test"`)
				return
			}
			var scopes []string
			for _, s := range r.URL.Query()["scope"] {
				scopes = append(scopes, strings.Fields(s)...)
			}
			json.NewEncoder(w).Encode(map[string]any{"token": tokens.issue(scopes), "expires_in": 300})
			return
		}
		wanted := scopeOf(r)
		if token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			c, valid := tokens.read(token)
			if valid && (wanted == "" || slices.ContainsFunc(c.Scopes, func(s string) bool { return covers(s, wanted) })) {
				next.ServeHTTP(w, r)
				return
			}
		}
		// Tokens come from the address by which the client knows this registry.
		challenge := fmt.Sprintf(`Bearer realm="%s://%s/token",service="test"`, scheme, r.Host)
		if wanted != "" {
			challenge += fmt.Sprintf(`,scope="%s"`, wanted)
		}
		refuse(w, challenge)
	})
}

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "address to listen on")
	dir := flag.String("dir", "", "folder for blobs; in memory when empty")
	auth := flag.String("auth", "none", "none, basic or bearer")
	user := flag.String("user", "", "user name for basic and bearer")
	password := flag.String("password", "", "password for basic and bearer")
	cert := flag.String("cert", "", "file of a certificate: HTTPS is served")
	key := flag.String("key", "", "file of the key of the certificate")
	flag.Parse()
	options := []registry.Option{registry.WithReferrersSupport(true), registry.Logger(log.New(io.Discard, "", 0))}
	if *dir != "" {
		options = append(options, registry.WithBlobHandler(registry.NewDiskBlobHandler(*dir)))
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	scheme := "http"
	if *cert != "" {
		scheme = "https"
	}
	var handler http.Handler = registry.New(options...)
	switch l := (login{*user, *password}); *auth {
	case "none":
	case "basic":
		handler = basic(handler, l)
	case "bearer":
		handler = bearer(handler, l, scheme)
	default:
		log.Fatalf("-auth %q is not none, basic or bearer", *auth)
	}
	fmt.Println(listener.Addr())
	if scheme == "https" {
		log.Fatal(http.ServeTLS(listener, handler, *cert, *key))
	}
	log.Fatal(http.Serve(listener, handler))
}
