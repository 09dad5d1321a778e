/* Built by "make console" of sources with the SHA-256 d20859f242a67b76034decffd17dceb1932122d11618e43cc4d4d551051b3447. Preact (MIT) and htm (Apache-2.0) are in it: vendor/preact.LICENSE.txt, vendor/htm.LICENSE.txt. */

// vendor/preact.js
var n;
var t;
var r;
var u;
var i;
var f;
var o;
var e;
var l;
var c;
var a;
var s;
var h = /* @__PURE__ */ Symbol.for("pv");
var p = {};
var y = [];
var v = /^m(i|n|o|s|text|space)$/;
var w = Array.isArray;
var d = y.slice;
var _ = Object.assign;
function g(n3) {
  n3 && n3.parentNode && n3.remove();
}
function k(n3, t4, r3) {
  var u3, i3, f3, o3 = {}, e3 = arguments.length;
  for (f3 in t4) "key" == f3 ? u3 = t4[f3] : "ref" == f3 && "function" != typeof n3 ? i3 = t4[f3] : o3[f3] = t4[f3];
  return e3 > 2 && (o3.children = e3 > 3 ? d.call(arguments, 2) : r3), m(n3, o3, u3, i3, null);
}
function m(r3, u3, i3, f3, o3) {
  var e3 = { type: r3, props: u3, key: i3, ref: f3, __k: null, __: null, __b: 0, __e: null, __c: null, constructor: h, __v: o3 || ++t, __i: -1, __u: 0 };
  return !o3 && n.vnode && n.vnode(e3), e3;
}
function $(n3) {
  return n3.children;
}
function x(n3, t4) {
  this.props = n3, this.context = t4, this.__g = 0;
}
function S(n3, t4) {
  if (null == t4) return n3.__ && S(n3.__, n3.__i + 1);
  for (var r3; t4 < n3.__k.length; t4++) if ((r3 = n3.__k[t4]) && r3.__e) return r3.__e;
  return "function" != typeof n3.type || n3.props.__P ? null : S(n3);
}
function C(t4) {
  var r3, u3 = t4.__v, i3 = u3.__e, f3 = [], o3 = [], e3 = t4.__P;
  e3 && ((r3 = _({ constructor: h }, u3)).__v = u3.__v + 1, n.vnode && n.vnode(r3), z(e3, r3, u3, t4.__n, e3.namespaceURI, 32 & u3.__u ? [i3] : null, f3, i3 || S(u3), 32 & u3.__u, o3), r3.__v = u3.__v, r3.__.__k[r3.__i] = r3, E(f3, r3, o3), u3.__ = u3.__e = null, r3.__e != i3 && j(r3));
}
function j(n3) {
  if ((n3 = n3.__) && n3.__c && !n3.props.__P) return n3.__e = null, n3.__k.some(function(t4) {
    return t4 && (n3.__e = t4.__e);
  }), j(n3);
}
function L(t4) {
  (8 & t4.__g || (t4.__g |= 8, u.push(t4), f++)) && i == n.debounceRendering || ((i = n.debounceRendering) || queueMicrotask)(H);
}
function H() {
  try {
    for (var n3, t4 = 1; u.length; ) u.length > t4 && u.sort(o), n3 = u.shift(), t4 = u.length, 8 & n3.__g && C(n3);
  } finally {
    (f = u.length) && (i || queueMicrotask)(H);
  }
}
function I(n3, t4, r3, u3, i3, f3, o3, e3, l3, c3, a3) {
  var s3, h3, v3, w3, d3, _3, g3 = u3.__k || y, k3 = t4.length;
  for (l3 = q(r3, t4, g3, l3, k3), s3 = 0; s3 < k3; s3++) null != (v3 = r3.__k[s3]) && (h3 = ~v3.__i && g3[v3.__i] || p, v3.__i = s3, _3 = z(n3, v3, h3, i3, f3, o3, e3, l3, c3, a3), w3 = v3.__e, (h3.ref != v3.ref || 8 & h3.__u) && (h3.ref && G(h3.ref, null, v3, h3), v3.ref && a3.push(v3.ref, v3.__c || w3, v3)), d3 = d3 || w3, 4 & v3.__u ? (l3 = A(v3, l3, n3, !h3.__v), h3.__e && (h3.__e = null)) : "function" == typeof v3.type && void 0 !== _3 ? l3 = _3 : w3 && (l3 = w3.nextSibling), v3.__u &= -21);
  return r3.__e = d3, l3;
}
function q(n3, t4, r3, u3, i3) {
  var f3, o3, e3, l3, c3, a3, s3, p3, y3, v3 = r3.length, d3 = v3, _3 = 0, g3 = 0, k3 = n3.__k = Array(i3);
  for (f3 = 0; f3 < i3; f3++) null != (o3 = t4[f3]) && "boolean" != typeof o3 && "function" != typeof o3 ? ("object" != typeof o3 || o3.constructor === String ? o3 = k3[f3] = m(null, o3) : w(o3) ? o3 = k3[f3] = m($, { children: o3 }) : o3.constructor === h && o3.__b ? o3 = k3[f3] = m(o3.type, o3.props, o3.key, o3.ref, o3.__v) : k3[f3] = o3, l3 = f3 + _3, o3.__ = n3, o3.__b = n3.__b + 1, e3 = null, ~(c3 = o3.__i = P(o3, r3, l3, d3)) && (d3--, (e3 = r3[c3]) && (e3.__u |= 2)), e3 && e3.__v ? (o3.__u |= 16, c3 == l3 - 1 ? _3-- : c3 == l3 + 1 ? _3++ : c3 != l3 && (c3 > l3 ? _3-- : _3++, g3 = 1)) : (~c3 || (i3 > v3 ? _3-- : i3 < v3 && _3++), "function" != typeof o3.type && (o3.__u |= 4))) : k3[f3] = null;
  if (g3) {
    for (a3 = [], s3 = [], f3 = 0; f3 < i3; f3++) if ((o3 = k3[f3]) && 16 & o3.__u) {
      for (_3 = 0, p3 = a3.length; _3 < p3; ) a3[y3 = _3 + p3 >> 1] < o3.__i ? _3 = y3 + 1 : p3 = y3;
      a3[_3] = o3.__i, s3[f3] = _3 + 1;
    }
    for (_3 = a3.length; f3--; ) s3[f3] && (s3[f3] == _3 ? _3-- : k3[f3].__u |= 4);
  }
  if (d3) for (f3 = 0; f3 < v3; f3++) !(e3 = r3[f3]) || 2 & e3.__u || (e3.__e == u3 && (u3 = S(e3)), J(e3, e3));
  return u3;
}
function A(n3, t4, r3, u3) {
  var i3, f3, o3, e3;
  if ("function" == typeof n3.type) {
    if (n3.props.__P) return t4;
    if (i3 = n3.__k) for (f3 = 0; f3 < i3.length; f3++) i3[f3] && (i3[f3].__ = n3, t4 = A(i3[f3], t4, r3, false));
    return t4;
  }
  for (t4 && !t4.parentNode && (t4 = S(n3)) && !t4.parentNode && (t4 = null), o3 = n3.__e, e3 = t4; e3 && 8 == e3.nodeType; ) e3 = e3.nextSibling;
  for (o3 != e3 && (!u3 && r3.moveBefore && o3.parentNode ? r3.moveBefore(o3, t4) : r3.insertBefore(o3, t4 || null)), t4 = o3; (t4 = t4 && t4.nextSibling) && 8 == t4.nodeType && !t4.data.startsWith("$s"); ) ;
  return t4;
}
function P(n3, t4, r3, u3) {
  var i3, f3 = n3.key, o3 = n3.type, e3 = t4[r3], l3 = e3 && !(2 & e3.__u);
  if (null === e3 && null == f3 || l3 && f3 == e3.key && o3 == e3.type) return r3;
  if (u3 > (l3 ? 1 : 0)) {
    for (i3 = r3 - 1; i3 >= 0; i3--) if ((e3 = t4[i3]) && !(2 & e3.__u) && f3 == e3.key && o3 == e3.type) return i3;
    for (i3 = r3 + 1; i3 < t4.length; i3++) if ((e3 = t4[i3]) && !(2 & e3.__u) && f3 == e3.key && o3 == e3.type) return i3;
  }
  return -1;
}
function T(n3, t4, r3) {
  null == r3 && (r3 = ""), "-" == t4[0] ? n3.setProperty(t4, r3) : n3[t4] = r3;
}
function N(n3, t4, r3, u3, i3) {
  var f3, o3;
  if ("style" == t4) if ("string" == typeof r3) n3.style.cssText = r3;
  else {
    if ("string" == typeof u3 && (n3.style.cssText = u3 = ""), u3) for (t4 in u3) r3 && t4 in r3 || T(n3.style, t4);
    if (r3) for (t4 in r3) u3 && r3[t4] == u3[t4] || T(n3.style, t4, r3[t4]);
  }
  else if ("o" == t4[0] && "n" == t4[1]) "function" != typeof r3 && (r3 = null), "function" != typeof u3 && (u3 = null), (n3.__e || (n3.__e = {}))[t4] = r3, r3 && u3 || (o3 = a[t4] || (a[t4] = V(t4)), (n3.__a || (n3.__a = {}))[t4] = c, f3 = t4 != (t4 = t4.replace(l, "$1")), (t4 = t4.slice(2))[0] < "a" && (t4 = t4.toLowerCase()), r3 ? n3.addEventListener(t4, o3, f3) : n3.removeEventListener(t4, o3, f3));
  else {
    if ("http://www.w3.org/2000/svg" == i3) t4 = t4.replace(/xlink(H|:h)/, "h").replace(/sName$/, "s");
    else if ("width" != t4 && "height" != t4 && "href" != t4 && "list" != t4 && "form" != t4 && "tabIndex" != t4 && "download" != t4 && "rowSpan" != t4 && "colSpan" != t4 && "role" != t4 && "popover" != t4 && t4 in n3) try {
      return void (n3[t4] = null == r3 ? "" : r3);
    } catch (n4) {
    }
    if ("function" == typeof r3) return;
    null == r3 || false === r3 && "-" != t4[4] ? n3.removeAttribute(t4) : n3.setAttribute(t4, "popover" == t4 && 1 == r3 ? "" : r3);
  }
}
function V(t4) {
  return function(r3) {
    var u3 = this.__e;
    if (u3) {
      if (u3 = u3[t4], null == r3[e]) r3[e] = c++;
      else if (r3[e] < this.__a[t4]) return;
      return u3(n.event ? n.event(r3) : r3);
    }
  };
}
function z(t4, r3, u3, i3, f3, o3, e3, l3, c3, a3) {
  var s3, p3, v3, d3, k3, b, m3, M, C3, j2, L2, H2, q2, A3, O, P2, T3, N2, V2 = r3.type;
  if (r3.constructor !== h) return null;
  128 & u3.__u && (c3 = 32 & u3.__u, s3 = u3.__c.__z) && (r3.__u |= c3, p3 = o3 = [], 8 == s3.nodeType ? l3 = B(s3, o3) : o3.push(s3), l3 = o3[0] || l3), (s3 = n.__b) && s3(r3);
  n: if ("function" == typeof V2) {
    v3 = e3.length;
    try {
      if (M = r3.props, C3 = (s3 = V2.prototype) && s3.render, j2 = (s3 = V2.contextType) && i3[s3.__c], L2 = s3 ? j2 ? j2.props.value : s3.__ : i3, (d3 = u3.__c) ? (r3.__c = d3, 2 & d3.__g && (d3.__g |= 1)) : (C3 ? r3.__c = d3 = new V2(M, L2) : (r3.__c = d3 = new x(M, L2), d3.constructor = V2, d3.render = K), j2 && j2.sub(d3), d3.state || (d3.state = {}), d3.__n = i3, d3.__g |= 8, d3.__h = [], d3.__k = []), C3 && (d3.__s || (d3.__s = d3.state), V2.getDerivedStateFromProps && (d3.__s == d3.state && (d3.__s = _({}, d3.__s)), _(d3.__s, V2.getDerivedStateFromProps(M, d3.__s)))), k3 = d3.props, b = d3.state, d3.__v = r3, u3.__c) {
        if (M !== k3 && C3 && !V2.getDerivedStateFromProps && d3.componentWillReceiveProps && d3.componentWillReceiveProps(M, L2), r3.__v == u3.__v && !(8 & d3.__g) || !(4 & d3.__g) && d3.shouldComponentUpdate && false === d3.shouldComponentUpdate(M, d3.__s, L2)) {
          r3.__v != u3.__v && (d3.props = M, d3.state = d3.__s, d3.__g &= -9), r3.__e = u3.__e, r3.__k = u3.__k, r3.__k.some(function(n3) {
            n3 && (n3.__ = r3);
          }), y.push.apply(d3.__h, d3.__k), d3.__k = [], d3.__h.length && e3.push(d3), l3 = S(u3);
          break n;
        }
        d3.componentWillUpdate && d3.componentWillUpdate(M, d3.__s, L2), C3 && d3.componentDidUpdate && d3.__h.push(function() {
          d3.componentDidUpdate(k3, b, m3);
        });
      } else C3 && !V2.getDerivedStateFromProps && d3.componentWillMount && d3.componentWillMount(), C3 && d3.componentDidMount && d3.__h.push(d3.componentDidMount);
      d3.context = L2, d3.props = M, d3.__P = t4, d3.__g &= -5, H2 = n.__r, q2 = C3 ? 25 : 0;
      do {
        d3.__g &= -9, H2 && H2(r3), s3 = d3.render(d3.props, d3.state = d3.__s, d3.context);
      } while (8 & d3.__g && ++q2 < 25);
      C3 && (y.push.apply(d3.__h, d3.__k), d3.__k = []), d3.state = d3.__s, d3.getChildContext && (i3 = _({}, i3, d3.getChildContext())), C3 && u3.__c && d3.getSnapshotBeforeUpdate && (m3 = d3.getSnapshotBeforeUpdate(k3, b)), A3 = s3 && s3.type === $ && null == s3.key ? s3.props.children : s3, M.__P && (s3 = l3, f3 = (t4 = M.__P).namespaceURI, c3 = o3 = null, u3.props && u3.props.__P != t4 && (u3.__k.some(function(n3) {
        n3 && J(n3, n3);
      }), u3.__k = null), l3 = u3.__k ? S(u3, 0) : null), l3 = I(t4, w(A3) ? A3 : [A3], r3, u3, i3, f3, o3, e3, l3, c3, a3), M.__P && (r3.__e = null, l3 = s3), r3.__u &= -161, p3 && p3.some(g), d3.__h.length && e3.push(d3), 1 & d3.__g && (d3.__g &= -4);
    } catch (t5) {
      if (e3.length = v3, r3.__v = null, c3 || o3) if (t5 && t5.then) {
        if (r3.__u |= 128 | c3, o3) {
          for (~(T3 = o3.indexOf(l3 || void 0)) || (T3 = o3.length); (N2 = o3[T3 - 1]) && 8 == N2.nodeType; ) T3--;
          for (; T3 < o3.length; T3++) if (N2 = o3[T3]) if (o3[T3] = null, O) {
            if (N2 == P2) break;
          } else {
            if (8 != N2.nodeType) break;
            N2.data.startsWith("$s") && (P2 = B(O = N2));
          }
        }
        if (!O) {
          for (; l3 && 8 == l3.nodeType && l3.nextSibling; ) l3 = l3.nextSibling;
          O = l3;
        }
        (s3 = B(O = r3.__c.__z || (r3.__c.__z = O))) ? (r3.__e = O, l3 = s3) : r3.__e = l3, l3 = l3 && l3.nextSibling;
      } else o3 && o3.some(g);
      else r3.__e = u3.__e;
      r3.__k || (r3.__k = u3.__k || []), t5 && t5.then || D(r3), n.__e(t5, r3, u3);
    }
  } else l3 = r3.__e = F(u3.__e, r3, u3, i3, f3, o3, e3, c3, a3, t4);
  return (s3 = n.diffed) && s3(r3), l3;
}
function B(n3, t4) {
  if (n3 && 8 == n3.nodeType && n3.data.startsWith("$s")) for (var r3 = 1; n3 = n3.nextSibling; ) {
    if (8 == n3.nodeType) {
      if (n3.data.startsWith("$s")) r3++;
      else if (n3.data.startsWith("/$s") && !--r3) return n3;
    }
    t4 && t4.push(n3);
  }
}
function D(n3) {
  n3 && (n3.__c && (n3.__c.__g |= 4), n3.__k && n3.__k.some(D));
}
function E(t4, r3, u3) {
  for (var i3 = 0; i3 < u3.length; ) G(u3[i3++], u3[i3++], u3[i3++]);
  n.__c && n.__c(r3, t4), t4.some(function(r4) {
    try {
      t4 = r4.__h, r4.__h = [], t4.some(function(n3) {
        n3.call(r4);
      });
    } catch (t5) {
      n.__e(t5, r4.__v);
    }
  });
}
function F(t4, r3, u3, i3, f3, o3, e3, l3, c3, a3) {
  var s3, h3, y3, _3, k3, b, m3, M, $2 = u3.props || p, x2 = r3.props, C3 = r3.type;
  if ("svg" == C3 ? f3 = "http://www.w3.org/2000/svg" : "math" == C3 ? f3 = "http://www.w3.org/1998/Math/MathML" : f3 || (f3 = "http://www.w3.org/1999/xhtml"), o3) {
    for (s3 = 0; s3 < o3.length; s3++) if ((k3 = o3[s3]) && (C3 ? k3.localName == C3 : 3 == k3.nodeType)) {
      t4 = k3, o3[s3] = null;
      break;
    }
  }
  if (!t4) {
    if (M = a3.ownerDocument || document, !C3) return M.createTextNode(x2);
    t4 = M.createElementNS(f3, C3, x2.is ? x2 : a3), l3 && (n.__m && n.__m(r3, o3), l3 = false), o3 = null;
  }
  if (C3) {
    if (a3 = "template" == C3 && t4.content || t4, o3 = "textarea" == C3 && null != x2.defaultValue ? null : o3 && d.call(a3.childNodes), !l3 && o3) for ($2 = {}, s3 = 0; s3 < t4.attributes.length; s3++) $2[(k3 = t4.attributes[s3]).name] = k3.value;
    for (s3 in $2) k3 = $2[s3], "dangerouslySetInnerHTML" == s3 ? y3 = k3 : "children" == s3 || s3 in x2 || "value" == s3 && "defaultValue" in x2 || "checked" == s3 && "defaultChecked" in x2 || N(t4, s3, null, k3, f3);
    for (s3 in x2) k3 = x2[s3], "children" == s3 ? _3 = k3 : "dangerouslySetInnerHTML" == s3 ? h3 = k3 : "value" == s3 ? b = k3 : "checked" == s3 ? m3 = k3 : l3 && "function" != typeof k3 || $2[s3] === k3 || N(t4, s3, k3, $2[s3], f3);
    h3 ? (l3 || y3 && (h3.__html == y3.__html || h3.__html == t4.innerHTML) || (t4.innerHTML = h3.__html), r3.__k = []) : (y3 && (t4.textContent = ""), ("foreignObject" == C3 || "http://www.w3.org/1998/Math/MathML" == f3 && v.test(C3)) && (f3 = "http://www.w3.org/1999/xhtml"), I(a3, w(_3) ? _3 : [_3], r3, u3, i3, f3, o3, e3, o3 ? o3[0] : u3.__k && S(u3, 0), l3, c3), o3 && o3.some(g)), l3 && "textarea" != C3 || (s3 = "value", "progress" == C3 && null == b ? t4.removeAttribute(s3) : null == b || b === t4[s3] && ("progress" != C3 || b) || N(t4, s3, b, $2[s3], f3), s3 = "checked", null != m3 && m3 != t4[s3] && N(t4, s3, m3, $2[s3], f3));
  } else $2 === x2 || l3 && t4.data == x2 || (t4.data = x2);
  return t4;
}
function G(t4, r3, u3, i3) {
  try {
    "function" == typeof t4 ? r3 ? r3.__x = t4(r3) || 1 : i3 && (i3 = i3.__c || i3.__e) && (r3 = i3.__x) && (i3.__x = null, "function" == typeof r3 ? r3() : t4(null)) : t4.current = r3;
  } catch (t5) {
    n.__e(t5, u3);
  }
}
function J(t4, r3, u3) {
  var i3, f3, o3, e3;
  if (n.unmount && n.unmount(t4), !(i3 = t4.ref) || i3.current && i3.current != t4.__e || G(i3, null, r3, t4), i3 = t4.__c) {
    if (i3.componentWillUnmount) try {
      i3.componentWillUnmount();
    } catch (t5) {
      n.__e(t5, r3);
    }
    i3.__P = i3.__n = null;
  }
  if (i3 = t4.__k) for (e3 = 0; e3 < i3.length; e3++) i3[e3] && J(i3[e3], r3, "function" != typeof t4.type || u3 && !t4.props.__P);
  !u3 && (i3 = t4.__c) && (i3 = i3.__z) && (f3 = B(i3, o3 = [])) && (i3 == t4.__e && o3.some(g), g(f3), g(i3)), u3 || g(t4.__e), t4.__e = t4.__c = t4.__ = null;
}
function K(n3, t4, r3) {
  return this.constructor(n3, r3);
}
function Q(t4, r3) {
  var u3, i3, f3, o3;
  n.__ && n.__(t4, r3), 9 == r3.nodeType && (r3 = r3.documentElement), i3 = (u3 = t4 && 32 & t4.__u) ? null : r3.__k, r3.__k = m($, { children: [t4] }), f3 = [], o3 = [], z(r3, r3.__k, i3 || p, p, r3.namespaceURI, i3 ? null : r3.firstChild ? d.call(r3.childNodes) : null, f3, i3 ? i3.__e : r3.firstChild, u3, o3), E(f3, r3.__k, o3), r3.__k.props.children = null;
}
n = { __e: function(n3, t4, r3, u3) {
  for (var i3, o3, e3; t4 = t4.__; ) if ((i3 = t4.__c) && !(1 & i3.__g)) {
    i3.__g |= 4;
    try {
      if ((e3 = (o3 = i3.constructor) && o3.getDerivedStateFromError) && i3.setState(o3.getDerivedStateFromError(n3)), i3.componentDidCatch && (i3.componentDidCatch(n3, u3 || {}), e3 = 1), e3 && 8 & i3.__g) return void (i3.__g |= 2);
    } catch (t5) {
      n3 = t5;
    }
  }
  throw f = 0, n3;
} }, t = 0, r = function(n3) {
  return null != n3 && n3.constructor === h;
}, x.prototype.setState = function(n3, t4) {
  var r3 = this.__s;
  r3 && r3 != this.state || (r3 = this.__s = _({}, this.state)), "function" == typeof n3 && (n3 = n3(_({}, r3), this.props)), n3 && (_(r3, n3), this.__v && (t4 && this.__k.push(t4), L(this)));
}, x.prototype.forceUpdate = function(n3) {
  this.__v && (this.__g |= 4, n3 && this.__h.push(n3), L(this));
}, x.prototype.render = $, u = [], f = 0, o = function(n3, t4) {
  return n3.__v.__b - t4.__v.__b;
}, e = /* @__PURE__ */ Symbol(), l = /(PointerCapture)$|Capture$/i, c = 0, a = {}, s = 0;

// vendor/htm.js
var n2 = function(t4, s3, r3, e3) {
  var u3;
  s3[0] = 0;
  for (var h3 = 1; h3 < s3.length; h3++) {
    var p3 = s3[h3++], a3 = s3[h3] ? (s3[0] |= p3 ? 1 : 2, r3[s3[h3++]]) : s3[++h3];
    3 === p3 ? e3[0] = a3 : 4 === p3 ? e3[1] = Object.assign(e3[1] || {}, a3) : 5 === p3 ? (e3[1] = e3[1] || {})[s3[++h3]] = a3 : 6 === p3 ? e3[1][s3[++h3]] += a3 + "" : p3 ? (u3 = t4.apply(a3, n2(t4, a3, r3, ["", null])), e3.push(u3), a3[0] ? s3[0] |= 2 : (s3[h3 - 2] = 0, s3[h3] = u3)) : e3.push(a3);
  }
  return e3;
};
var t2 = /* @__PURE__ */ new Map();
function htm_default(s3) {
  var r3 = t2.get(this);
  return r3 || (r3 = /* @__PURE__ */ new Map(), t2.set(this, r3)), (r3 = n2(this, r3.get(s3) || (r3.set(s3, r3 = (function(n3) {
    for (var t4, s4, r4 = 1, e3 = "", u3 = "", h3 = [0], p3 = function(n4) {
      1 === r4 && (n4 || (e3 = e3.replace(/^\s*\n\s*|\s*\n\s*$/g, ""))) ? h3.push(0, n4, e3) : 3 === r4 && (n4 || e3) ? (h3.push(3, n4, e3), r4 = 2) : 2 === r4 && "..." === e3 && n4 ? h3.push(4, n4, 0) : 2 === r4 && e3 && !n4 ? h3.push(5, 0, true, e3) : r4 >= 5 && ((e3 || !n4 && 5 === r4) && (h3.push(r4, 0, e3, s4), r4 = 6), n4 && (h3.push(r4, n4, 0, s4), r4 = 6)), e3 = "";
    }, a3 = 0; a3 < n3.length; a3++) {
      a3 && (1 === r4 && p3(), p3(a3));
      for (var l3 = 0; l3 < n3[a3].length; l3++) t4 = n3[a3][l3], 1 === r4 ? "<" === t4 ? (p3(), h3 = [h3], r4 = 3) : e3 += t4 : 4 === r4 ? "--" === e3 && ">" === t4 ? (r4 = 1, e3 = "") : e3 = t4 + e3[0] : u3 ? t4 === u3 ? u3 = "" : e3 += t4 : '"' === t4 || "'" === t4 ? u3 = t4 : ">" === t4 ? (p3(), r4 = 1) : r4 && ("=" === t4 ? (r4 = 5, s4 = e3, e3 = "") : "/" === t4 && (r4 < 5 || ">" === n3[a3][l3 + 1]) ? (p3(), 3 === r4 && (h3 = h3[0]), r4 = h3, (h3 = h3[0]).push(2, 0, r4), r4 = 0) : " " === t4 || "	" === t4 || "\n" === t4 || "\r" === t4 ? (p3(), r4 = 2) : e3 += t4), 3 === r4 && "!--" === e3 && (r4 = 4, h3 = h3[0]);
    }
    return p3(), h3;
  })(s3)), r3), arguments, [])).length > 1 ? r3 : r3[0];
}

// vendor/hooks.js
var t3;
var r2;
var u2;
var i2;
var o2 = Object.is;
var f2 = 0;
var c2 = [];
var e2 = [];
var a2 = n;
var v2 = a2.__b;
var l2 = a2.__r;
var m2 = a2.diffed;
var h2 = a2.__c;
var s2 = a2.unmount;
var p2 = a2.__;
function y2(n3, t4) {
  a2.__h && a2.__h(r2, n3, f2 || t4), f2 = 0;
  var u3 = r2.__H || (r2.__H = { __: [], __h: [] });
  return n3 >= u3.__.length && u3.__.push({}), u3.__[n3];
}
function d2(n3) {
  return f2 = 1, _2(G2, n3);
}
function _2(n3, u3, i3) {
  var f3 = y2(t3++, 2);
  if (f3.t = n3, !f3.__c && (f3.__ = [i3 ? i3(u3) : G2(void 0, u3), function(n4) {
    var t4 = (f3.__N || f3.__)[0], r3 = f3.t(t4, n4);
    o2(t4, r3) || (f3.__N = [r3, f3.__[1]], f3.__c.setState({}));
  }], f3.__c = r2, !r2.__f)) {
    r2.__f = true;
    var c3 = r2.shouldComponentUpdate;
    r2.shouldComponentUpdate = function(n4, t4, r3) {
      var u4 = this.__H;
      if (!u4) return true;
      var i4 = false, f4 = this.props != n4;
      if (u4.__.some(function(n5) {
        n5.__N && (i4 = true, o2(n5.__[0], n5.__N[0]) || (f4 = true));
      }), c3) {
        var e3 = c3.call(this, n4, t4, r3);
        return i4 ? e3 || f4 : e3;
      }
      return !i4 || f4;
    };
  }
  return f3.__;
}
function A2(n3, u3) {
  var i3 = y2(t3++, 3);
  !a2.__s && E2(i3.__H, u3) && (i3.__P = true, i3.__ = n3, i3.u = u3, r2.__H.__h.push(i3));
}
function F2(n3, u3) {
  var i3 = y2(t3++, 4);
  !a2.__s && E2(i3.__H, u3) && (i3.__P = false, i3.__ = n3, i3.u = u3, r2.__h.push(i3));
}
function T2(n3) {
  return f2 = 5, w2(function() {
    return { current: n3 };
  }, []);
}
function w2(n3, r3) {
  var u3 = y2(t3++, 7);
  return E2(u3.__H, r3) && (u3.__ = n3(), u3.__H = r3), u3.__;
}
function g2() {
  var n3;
  do {
    for (; n3 = e2.shift(); ) try {
      C2(n3);
    } catch (t5) {
      a2.__e(t5, { __: (n3 = n3.__P) && n3.__v });
    }
    for (; n3 = c2.shift(); ) {
      var t4 = n3.__H;
      if (n3.__P && t4) try {
        t4.__h.some(C2), t4.__h.some(D2), t4.__h = [];
      } catch (r3) {
        t4.__h = [], a2.__e(r3, n3.__v);
      }
    }
  } while (e2.length);
}
a2.__b = function(n3) {
  r2 = null, v2 && v2(n3);
}, a2.__ = function(n3, t4) {
  n3 && t4.__k && t4.__k.__m && (n3.__m = t4.__k.__m), p2 && p2(n3, t4);
}, a2.__r = function(n3) {
  l2 && l2(n3), t3 = 0;
  var i3 = (r2 = n3.__c).__H;
  i3 && (u2 == r2 ? r2.__h = [] : (i3.__h.some(C2), i3.__h.some(D2), t3 = 0), i3.__h = [], i3.__.some(function(n4) {
    n4.__N && (n4.__ = n4.__N), n4.u = n4.__N = void 0;
  })), u2 = r2;
}, a2.diffed = function(n3) {
  m2 && m2(n3);
  var t4 = n3.__c;
  t4 && t4.__H && (t4.__H.__h.length && B2(c2.push(t4)), t4.__H.__.some(function(n4) {
    n4.u && (n4.__H = n4.u);
  })), u2 = r2 = null;
}, a2.__c = function(n3, t4) {
  t4.some(function(n4) {
    try {
      n4.__h.some(C2), n4.__h = n4.__h.filter(function(n5) {
        return !n5.__ || D2(n5);
      });
    } catch (t5) {
      n4.__h = [function() {
        throw t5;
      }];
    }
  }), h2 && h2(n3, t4);
}, a2.unmount = function(n3) {
  s2 && s2(n3);
  var t4, r3, u3 = n3.__c;
  u3 && u3.__H && (u3.__H.__.some(function(u4) {
    try {
      if (u4.__P && u4.__c) {
        if (void 0 === r3) {
          for (r3 = n3.__; r3 && (!r3.__c || !r3.__c.__P); ) r3 = r3.__;
          r3 = r3 && r3.__c;
        }
        u4.__P = r3, B2(e2.push(u4));
      } else C2(u4);
    } catch (n4) {
      t4 = n4;
    }
  }), u3.__H = void 0, t4 && a2.__e(t4, u3.__v));
};
var k2 = "function" == typeof requestAnimationFrame;
function z2(n3) {
  var t4, r3 = function() {
    clearTimeout(u3), k2 && cancelAnimationFrame(t4), setTimeout(n3);
  }, u3 = setTimeout(r3, 35);
  k2 && (t4 = requestAnimationFrame(r3));
}
function B2(n3) {
  1 != n3 && i2 == a2.requestAnimationFrame || ((i2 = a2.requestAnimationFrame) || z2)(g2);
}
function C2(n3) {
  var t4 = r2, u3 = n3.__c;
  "function" == typeof u3 && (n3.__c = void 0, u3()), r2 = t4;
}
function D2(n3) {
  var t4 = r2;
  n3.__c = n3.__(), r2 = t4;
}
function E2(n3, t4) {
  return !n3 || n3.length != t4.length || t4.some(function(t5, r3) {
    return !o2(t5, n3[r3]);
  });
}
function G2(n3, t4) {
  return "function" == typeof t4 ? t4(n3) : t4;
}

// lib/html.js
var html = htm_default.bind(k);
function outwardLink(address, label = address) {
  if (!/^https?:\/\//i.test(address)) return html`<span>${label}</span>`;
  return html`<a href=${address} target="_blank" rel="noopener noreferrer">${label}</a>`;
}

// lib/store.js
var HIDDEN_FRAME_MS = 250;
var Store = class {
  #watchers = /* @__PURE__ */ new Set();
  #changed = /* @__PURE__ */ new Set();
  #scheduled = false;
  /** Say that these slices are not what they were. */
  changed(...slices) {
    for (const slice of slices) this.#changed.add(slice);
    if (this.#scheduled) return;
    this.#scheduled = true;
    if (document.hidden) setTimeout(() => this.#flush(), HIDDEN_FRAME_MS);
    else requestAnimationFrame(() => this.#flush());
  }
  /** Call `look` after each frame in which one of the slices has changed. Returns how to stop that. */
  watch(slices, look) {
    const watcher = { slices, look };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }
  #flush() {
    const changed = this.#changed;
    this.#changed = /* @__PURE__ */ new Set();
    this.#scheduled = false;
    for (const { slices, look } of [...this.#watchers]) if (slices.some((slice) => changed.has(slice))) look();
  }
};
var store = new Store();
function useSlices(...slices) {
  const [, redraw] = d2(0);
  F2(() => store.watch(slices, () => redraw((count) => count + 1)), [slices.join(" ")]);
}
function useCalmSlices(calmMs, ...slices) {
  const [, redraw] = d2(0);
  F2(() => {
    let timer = 0;
    const look = () => {
      timer ||= setTimeout(() => {
        timer = 0;
        redraw((count) => count + 1);
      }, calmMs);
    };
    const stop = store.watch(slices, look);
    return () => {
      stop();
      clearTimeout(timer);
    };
  }, [slices.join(" ")]);
}

// lib/router.js
var HOME = "/console/";
var VIEWS = ["room", "dm", "thread", "search", "agents", "agent", "approvals", "pairings", "pairing", "events", "health", "admin"];
var route = { view: "home", id: "", query: new URLSearchParams() };
function path(view, id = "", query = {}) {
  const tail = new URLSearchParams(query).toString();
  return `${HOME}${view === "home" ? "" : view}${id ? `/${encodeURIComponent(id)}` : ""}${tail ? `?${tail}` : ""}`;
}
function readUrl() {
  const [view = "", ...rest] = location.pathname.slice(HOME.length).replace(/\/$/, "").split("/");
  let id = "";
  try {
    id = decodeURIComponent(rest.join("/"));
  } catch {
    id = rest.join("/");
  }
  Object.assign(route, { view: VIEWS.includes(view) ? view : "home", id, query: new URLSearchParams(location.search) });
  store.changed("route");
}
function navigate(to, { replace = false } = {}) {
  history[replace ? "replaceState" : "pushState"](null, "", to);
  readUrl();
}
function withQuery(changes) {
  const words = Object.entries({ ...Object.fromEntries(route.query), ...changes });
  return path(route.view, route.id, Object.fromEntries(words.filter(([, value]) => value)));
}
function startRouter() {
  document.addEventListener("click", (click) => {
    const link = click.target.closest?.(`a[href^='${HOME}']`);
    if (!link || click.button !== 0 || click.metaKey || click.ctrlKey || click.shiftKey || click.altKey) return;
    click.preventDefault();
    navigate(link.getAttribute("href"));
  });
  addEventListener("popstate", readUrl);
  readUrl();
}

// lib/api.js
var REQUEST_MS = 15e3;
var PAGE_ITEMS = 500;
var MAX_PAGES = 40;
var CallFailed = class extends Error {
  constructor(status, message, code = "") {
    super(message);
    Object.assign(this, { status, code });
  }
  get needsSignIn() {
    return this.status === 401;
  }
};
async function exchange(path2, options) {
  try {
    return await fetch(path2, { ...options, signal: AbortSignal.timeout(REQUEST_MS) });
  } catch (error) {
    throw new CallFailed(0, error.name === "TimeoutError" ? "the server did not answer in time" : "the server is not reachable");
  }
}
async function call(path2, options = {}) {
  const answer = await exchange(path2, { cache: "no-store", ...options });
  const body = await answer.json().catch(() => ({}));
  if (answer.ok) return body;
  throw new CallFailed(answer.status, wordsOf(answer.status, body), body.code);
}
function wordsOf(status, { code, error }) {
  if (code === "unknown_route" || code === "method_not_allowed") return "this server can't do that: it is older than this page";
  return error || `the server answered ${status}`;
}
function change(method, path2, body) {
  const headers = { "Content-Type": "application/json" };
  return call(path2, { method, ...body && { headers, body: JSON.stringify(body) } });
}
var part = encodeURIComponent;
var cutLists = /* @__PURE__ */ new Set();
async function getAll(path2, key, words = {}) {
  const items = [];
  let after = "";
  cutLists.delete(path2);
  for (let pages = 0; pages < MAX_PAGES; pages += 1) {
    const answer = await call(`${path2}?${queryOf({ limit: PAGE_ITEMS, ...words, after })}`);
    items.push(...answer[key]);
    after = answer.page.next_after ?? "";
    if (!answer.page.has_more || !after) return items;
  }
  cutLists.add(path2);
  return items;
}
function queryOf(words) {
  return new URLSearchParams(Object.entries(words).filter(([, value]) => value !== void 0 && value !== ""));
}
var whoAmI = () => call("/v1/session");
var signIn = (token) => change("POST", "/v1/session", { token });
var signOut = () => change("DELETE", "/v1/session");
var getNetwork = () => call("/v1/network");
var getRooms = () => getAll("/v1/rooms", "rooms");
var getRoom = (roomId) => call(`/v1/rooms/${part(roomId)}`);
var getDirects = () => getAll("/v1/dms", "dms");
var getThreads = (roomId) => getAll(`/v1/rooms/${part(roomId)}/threads`, "threads");
var getThread = (threadId) => call(`/v1/threads/${part(threadId)}`);
var COLLECTIONS = { room: "rooms", dm: "dms", thread: "threads" };
function getMessages({ kind, id }, { limit, before, after, around: around2, at }) {
  return call(`/v1/${COLLECTIONS[kind]}/${part(id)}/messages?${queryOf({ limit, before, after, around: around2, at })}`);
}
function getArtifacts({ kind, id }, { before = "" } = {}) {
  return call(`/v1/artifacts?${queryOf({ [`${kind}_id`]: id, limit: 50, before })}`);
}
var search = (words) => call(`/v1/search?${queryOf({ limit: 50, ...words })}`);
var getEvents = (words) => call(`/v1/events?${queryOf({ limit: 200, ...words })}`);
var sendMessage = (message) => change("POST", "/v1/messages", message);
var getAgents = () => getAll("/v1/agents", "agents");
var getWakes = (agentId) => call(`/v1/agents/${part(agentId)}/wakes?limit=100`);
var getApprovals = (state = "") => call(`/v1/approvals?${queryOf({ limit: PAGE_ITEMS, state })}`);
var decideApproval = (id, decision, note) => change("POST", `/v1/approvals/${part(id)}/${decision}`, { note });
var removeAgent = (agentId) => change("DELETE", `/v1/agents/${part(agentId)}`);
var resetAgentToken = (agentId) => change("POST", `/v1/agents/${part(agentId)}/token`);
var revokeAgentToken = (agentId) => change("DELETE", `/v1/agents/${part(agentId)}/token`);
var muteAgent = (agentId, words) => change("POST", `/v1/agents/${part(agentId)}/mute`, words);
var unmuteAgent = (agentId) => change("DELETE", `/v1/agents/${part(agentId)}/mute`);
var getAgent = (agentId) => call(`/v1/agents/${part(agentId)}`);
var getCredentials = () => getAll("/v1/credentials", "credentials");
var createRoom = (room) => change("POST", "/v1/rooms", room);
var removeRoom = (roomId) => change("DELETE", `/v1/rooms/${part(roomId)}`);
var changeMembers = (roomId, members) => change("PATCH", `/v1/rooms/${part(roomId)}/members`, members);
var changeRoom = (roomId, words) => change("PATCH", `/v1/rooms/${part(roomId)}`, words);
var getRemovedRooms = () => getAll("/v1/rooms", "rooms", { removed: "true" });
var restoreRoom = (roomId, members) => change("POST", `/v1/rooms/${part(roomId)}/restore`, { members });
var getTokens = () => getAll("/v1/tokens", "tokens");
var apply = (wanted, preview) => change("POST", `/v1/apply${preview ? "?preview=true" : ""}`, wanted);
var reload = () => change("POST", "/v1/admin/reload");
var getPairings = () => getAll("/v1/pairings", "pairings");
var askPairing = (pairingId, what) => call(`/v1/pairings/${part(pairingId)}/${what}`);
var switchPairing = (pairingId, isEnabled) => change("POST", `/v1/pairings/${part(pairingId)}/${isEnabled ? "enable" : "disable"}`);
var getOutbox = () => call("/v1/outbox");
var getDeadLetters = (pairingId) => call(`/v1/pairings/${part(pairingId)}/dead-letters?limit=100`);
var retryDeadLetter = (pairingId, messageId) => change("POST", `/v1/pairings/${part(pairingId)}/dead-letters/${part(messageId)}/retry`);
var dropDeadLetter = (pairingId, messageId) => change("DELETE", `/v1/pairings/${part(pairingId)}/dead-letters/${part(messageId)}`);
async function getMetrics() {
  const answer = await exchange("/metrics", { cache: "no-store", headers: { Accept: "text/plain" } });
  if (!answer.ok) throw new CallFailed(answer.status, `the server answered ${answer.status}`);
  return answer.text();
}
function newId(prefix) {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return `${prefix}_${Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
}

// lib/texts.js
function shortened(text, most = 80) {
  return text.length <= most ? text : `${text.slice(0, most - 1)}…`;
}
function counted(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}
function sentence(text) {
  const shown = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(shown) ? shown : `${shown}.`;
}
function colourOf(actor) {
  let sum = 0;
  for (const character of actor.fqid || actor.id) sum = (31 * sum + character.codePointAt(0)) % 65521;
  return sum % 6;
}
var formats = /* @__PURE__ */ new Map();
function formatted(time, language, words, utc) {
  const key = `${language} ${utc} ${Object.values(words)}`;
  if (!formats.has(key)) {
    formats.set(key, new Intl.DateTimeFormat(language, { ...words, ...utc && { timeZone: "UTC" } }));
  }
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? "" : formats.get(key).format(date);
}
var DAY = { year: "numeric", month: "2-digit", day: "2-digit" };
var CLOCK = { hour: "2-digit", minute: "2-digit", second: "2-digit" };
var dayOf = (time, utc) => formatted(time, "sv", DAY, utc);
var longDay = (time, utc) => formatted(time, "en", { weekday: "long", ...DAY, month: "long", day: "numeric" }, utc);
var shortClock = (time, utc) => formatted(time, "sv", { hour: "2-digit", minute: "2-digit" }, utc);
var clock = (time, utc) => formatted(time, "sv", CLOCK, utc);
var fullTime = (time, utc) => `${formatted(time, "sv", { ...DAY, ...CLOCK }, utc)}${utc ? " UTC" : ""}`;
function ago(time) {
  const seconds = Math.max(0, (Date.now() - new Date(time)) / 1e3);
  if (!Number.isFinite(seconds)) return "";
  if (seconds < 60) return "now";
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} d`;
}
function humanId(name) {
  const id = name.normalize("NFKD").replace(/[^A-Za-z0-9]+/g, "-").replace(/^-|-$/g, "").toLowerCase().slice(0, 100);
  return id || "human";
}
var forgotten = /* @__PURE__ */ new Map();
function remember(key, value, storage = "localStorage") {
  forgotten.set(key, value);
  try {
    if (value) window[storage].setItem(`moltnet.console.${key}`, value);
    else window[storage].removeItem(`moltnet.console.${key}`);
  } catch {
    return;
  }
}
function remembered(key, storage = "localStorage") {
  try {
    return window[storage].getItem(`moltnet.console.${key}`) ?? "";
  } catch {
    return forgotten.get(key) ?? "";
  }
}

// state/announcements.js
var CALM_MS = 1500;
var said = { text: "", waiting: [], timer: 0 };
function announce(text) {
  said.waiting.push(text);
  if (said.timer) return;
  said.timer = setTimeout(() => {
    said.text = said.waiting.length > 3 ? `${said.waiting.length} new messages` : said.waiting.join(". ");
    Object.assign(said, { waiting: [], timer: 0 });
    store.changed("announcer");
  }, CALM_MS);
}

// state/holding.js
var MAX_HELD_EVENTS = 5e3;
var held = { depth: 0, events: [], overflowed: false };
var holding = { apply: () => {
}, refresh: async () => {
} };
async function whileHolding(work) {
  held.depth += 1;
  try {
    return await work();
  } finally {
    held.depth -= 1;
    if (held.depth === 0) release();
  }
}
function release() {
  const { events, overflowed } = held;
  Object.assign(held, { events: [], overflowed: false });
  if (overflowed) holding.refresh();
  else events.forEach((event) => holding.apply(event));
}
function pass(event) {
  if (held.depth === 0) holding.apply(event);
  else if (held.events.length < MAX_HELD_EVENTS) held.events.push(event);
  else held.overflowed = true;
}

// state/model.js
var MAX_EVENTS = 2e3;
var model = {
  /** "starting", "ready", "signed-out", or "offline" before anything could be shown. */
  phase: "starting",
  problem: "",
  /** A mistake of this program that has come to light. */
  fault: "",
  who: { kind: "anonymous", scopes: [], agents: [], signed_in: false },
  network: null,
  /** `perSecond`: of each of the last seconds `{ second, count, lagMs }`, the lag being the longest of an event. */
  stream: { state: "connecting", lagMs: 0, perSecond: [] },
  rooms: /* @__PURE__ */ new Map(),
  dms: /* @__PURE__ */ new Map(),
  threads: /* @__PURE__ */ new Map(),
  /** By FQID: agents of two networks may have the same id. */
  agents: /* @__PURE__ */ new Map(),
  pairings: /* @__PURE__ */ new Map(),
  approvals: /* @__PURE__ */ new Map(),
  outbox: /* @__PURE__ */ new Map(),
  /** By message: what became of its wakes, by agent. */
  wakes: /* @__PURE__ */ new Map(),
  /** By key of a conversation. */
  conversations: /* @__PURE__ */ new Map(),
  unread: /* @__PURE__ */ new Map(),
  /** When something was last said, in milliseconds. */
  lastAt: /* @__PURE__ */ new Map(),
  pending: /* @__PURE__ */ new Map(),
  events: [],
  /** How many came since this page was opened, also those that were let go. */
  eventCount: 0,
  settings: {
    name: remembered("name") || "you",
    theme: remembered("theme") || "system",
    contrast: remembered("contrast") || "system",
    utc: remembered("utc") === "yes",
    notify: remembered("notify") === "yes"
  }
};
function setSetting(name, value) {
  model.settings[name] = value;
  remember(name, value === true ? "yes" : value || "");
  store.changed("settings");
}
function may(...scopes) {
  return model.who.kind === "unchecked" || scopes.some((scope) => model.who.scopes.includes(scope));
}
var isAdmin = () => may("admin");
var mayObserve = () => may("observe", "admin");
function whyNotAdmin() {
  return isAdmin() ? "" : "Read only: this needs a token with the scope admin.";
}
function sender() {
  return { type: "human", id: humanId(model.settings.name), name: model.settings.name };
}
function whyReadOnly({ kind, id }) {
  if (!model.network) return "Not connected.";
  if (!model.network.capabilities.human_ingress) return "Read only: this network takes no messages from people.";
  if (!model.network.console?.can_send_human) {
    return model.who.kind === "anonymous" ? "Read only: sign in with a token that has the scope write to say something here." : "Read only: this needs a token with the scope write that belongs to no agent.";
  }
  if (kind === "dm") return whyNotDirect(id);
  const room = model.rooms.get(kind === "thread" ? model.threads.get(id)?.room_id : id);
  if (!room) return kind === "thread" ? "" : "Read only: there is no such room here.";
  if (!room.access || room.access.can_write) return "";
  const who = { members: "its members", registered_agents: "registered agents", operators: "operators" };
  return `Read only: this room is written by ${who[room.write_policy] ?? room.write_policy}.`;
}
function whyNotDirect(id) {
  if (!model.network.capabilities.direct_messages) return "Read only: direct messages are off in this network.";
  const participants = model.dms.get(id)?.participant_ids;
  const me = humanId(model.settings.name);
  if (!participants || participants.includes(me)) return "";
  return `Read only: ${me} takes no part in this conversation of ${participants.join(", ")}.`;
}
var keyOf = ({ kind, id }) => `${kind}:${id}`;
function conversationOf(target) {
  const id = { room: target.room_id, thread: target.thread_id, dm: target.dm_id }[target.kind];
  return { kind: target.kind, id };
}
function titleOf({ kind, id }) {
  if (kind === "room") return model.rooms.get(id)?.name || id;
  if (kind === "dm") return model.dms.get(id)?.participant_ids?.join(", ") || id;
  return `thread ${id}`;
}
function agentName(fqidOrId) {
  const agent = model.agents.get(fqidOrId);
  return agent?.name || agent?.id || fqidOrId.replace(/^molt:\/\/([^/]+)\/agents\//, "$1:");
}
function findAgent(id) {
  return model.agents.get(id) ?? model.agents.get(`molt://${model.network?.id}/agents/${id}`);
}
function mentionable({ kind, id }) {
  const agents = [...model.agents.values()];
  if (kind === "dm") {
    const participants = model.dms.get(id)?.participant_ids;
    return participants ? agents.filter((agent) => participants.includes(agent.id)) : agents;
  }
  const roomId = kind === "thread" ? model.threads.get(id)?.room_id : id;
  const isMember = (agent) => (agent.rooms ?? []).includes(roomId);
  return [...agents.filter(isMember), ...agents.filter((agent) => !isMember(agent))];
}
var unreadTotal = () => [...model.unread.values()].reduce((sum, count) => sum + count, 0);
var pendingApprovals = () => [...model.approvals.values()].filter((approval) => approval.state === "pending");
var isOfAnotherNetwork = (agent) => Boolean(agent.network_id) && agent.network_id !== model.network?.id;

// state/notifications.js
function whyNoNotifications() {
  if (!("Notification" in window) || !window.isSecureContext) return "This browser gives them to pages by https or of this machine only.";
  return Notification.permission === "denied" ? "This browser was told to show none of this page." : "";
}
async function setNotifications(wanted) {
  const isAllowed = wanted && !whyNoNotifications() && await Notification.requestPermission() === "granted";
  setSetting("notify", isAllowed);
}
function notify(title, text, { id, to }) {
  if (!model.settings.notify || !document.hidden || whyNoNotifications()) return;
  const shown = new Notification(shortened(title, 100), { body: shortened(text, 200), tag: id });
  shown.onclick = () => {
    window.focus();
    navigate(to);
    shown.close();
  };
}

// state/reading.js
var KEPT = 1e3;
var SAVE_MS = 1e3;
var COUNTED = 100;
var ASKED = 60;
var ASKED_AT_ONCE = 4;
var reading = { name: "", since: 0, marks: /* @__PURE__ */ new Map(), timer: 0 };
function rememberReading(networkId) {
  reading.name = `read.${networkId}`;
  const { since = 0, marks = [] } = parsed(remembered(reading.name));
  Object.assign(reading, { since, marks: new Map(marks) });
}
function parsed(text) {
  try {
    return JSON.parse(text) ?? {};
  } catch {
    return {};
  }
}
var markOf = (key) => reading.marks.get(key);
function mark(key, { id, created_at }) {
  const known = reading.marks.get(key);
  if (known && known.at >= created_at) return;
  reading.marks.delete(key);
  reading.marks.set(key, { id, at: created_at });
  if (reading.marks.size > KEPT) reading.marks.delete(reading.marks.keys().next().value);
  reading.timer ||= setTimeout(save, SAVE_MS);
}
function save() {
  clearTimeout(reading.timer);
  reading.timer = 0;
  if (!reading.name) return;
  for (const [key, { id, at }] of parsed(remembered(reading.name)).marks ?? []) {
    if (!(reading.marks.get(key)?.at >= at)) reading.marks.set(key, { id, at });
  }
  let since = 0;
  for (const at of model.lastAt.values()) since = Math.max(since, at);
  remember(reading.name, JSON.stringify({ since: since || Date.now(), marks: [...reading.marks].slice(-KEPT) }));
}
addEventListener("pagehide", save);
addEventListener("storage", ({ key, newValue }) => {
  if (!reading.name || !key?.endsWith(reading.name)) return;
  for (const [where, { id, at }] of parsed(newValue).marks ?? []) {
    if (reading.marks.get(where)?.at >= at) continue;
    reading.marks.set(where, { id, at });
    if (!(model.lastAt.get(where) > Date.parse(at)) && model.unread.delete(where)) store.changed("unread");
  }
});
async function countUnread(conversations) {
  const isNew = ({ kind, id }) => kind !== "dm" || !(Date.parse(markOf(keyOf({ kind, id }))?.at) >= model.lastAt.get(keyOf({ kind, id })));
  const next = conversations.filter(isNew).slice(0, ASKED)[Symbol.iterator]();
  const look = async () => {
    for (const where of next) await countIn(where).catch(() => {
    });
  };
  await Promise.all(Array.from({ length: ASKED_AT_ONCE }, look));
  save();
}
async function countIn(where) {
  const key = keyOf(where);
  const known = markOf(key);
  const before = model.unread.get(key) ?? 0;
  const found = known ? await getMessages(where, { limit: COUNTED, after: known.id }) : await getMessages(where, { limit: reading.since > 0 ? COUNTED : 1 });
  const newest2 = found.messages.at(-1);
  const at = Date.parse(newest2?.created_at ?? known?.at ?? "");
  if (at && !(model.lastAt.get(key) >= at)) model.lastAt.set(key, at);
  store.changed("activity");
  const isUnread = ({ from: from2, created_at }) => from2.id !== sender().id && (known || reading.since > 0 && Date.parse(created_at) > reading.since);
  const unread = found.messages.filter(isUnread).length;
  if (!known && unread === 0 && newest2) mark(key, newest2);
  if (unread === before || (model.unread.get(key) ?? 0) !== before) return;
  if (unread > 0) model.unread.set(key, unread);
  else model.unread.delete(key);
  store.changed("unread");
}

// state/conversations.js
var PAGE_MESSAGES = 100;
var MAX_MESSAGES = 4e3;
var DROPPED_AT_ONCE = 1e3;
var KEPT_CONVERSATIONS = 12;
var open = { key: "", following: true };
function fresh(conversation2) {
  const flags = { loaded: false, loading: "", error: "", missing: false, hasOlder: false, hasNewer: false };
  return { ...conversation2, messages: [], ids: /* @__PURE__ */ new Set(), newer: 0, readTo: "", first: "", generation: 0, ...flags };
}
function conversation(where) {
  const key = keyOf(where);
  if (!model.conversations.has(key)) model.conversations.set(key, fresh(where));
  return model.conversations.get(key);
}
var told = (key) => store.changed(`conversation:${key}`);
async function openConversation(where, { messageId = "", at = "" } = {}) {
  const key = keyOf(where);
  Object.assign(open, { key, following: !messageId && !at });
  letGo(key);
  const found = conversation(where);
  found.readTo = model.unread.has(key) ? markOf(key)?.id ?? "" : "";
  markRead(key);
  const isThere = found.loaded && !at && (messageId ? found.ids.has(messageId) : !found.hasNewer);
  if (!isThere) await load(where, { messageId, at });
}
function letGo(key) {
  const found = model.conversations.get(key);
  model.conversations.delete(key);
  if (found) model.conversations.set(key, found);
  const rest = [...model.conversations.keys()].filter((other) => other !== key);
  for (const old of rest.slice(0, Math.max(0, rest.length - KEPT_CONVERSATIONS))) model.conversations.delete(old);
}
async function load(where, { messageId = "", at = "" } = {}) {
  const found = conversation(where);
  const generation = found.generation += 1;
  Object.assign(found, { loading: "newest", error: "", missing: false });
  told(keyOf(where));
  await whileHolding(async () => {
    try {
      const page = await (messageId ? around(where, messageId) : at ? from(where, at) : newest(where));
      if (generation !== found.generation) return;
      Object.assign(found, page, { ids: new Set(page.messages.map(({ id }) => id)), loaded: true, newer: 0 });
      if (page.messages.length > 0 && !page.hasNewer) active(keyOf(where), page.messages.at(-1));
      markRead(keyOf(where));
    } catch (error) {
      if (generation !== found.generation) return;
      if (error.status === 404) Object.assign(found, { missing: true, loaded: true, messages: [], ids: /* @__PURE__ */ new Set() });
      else found.error = error.message;
    } finally {
      if (generation === found.generation) found.loading = "";
      told(keyOf(where));
    }
  });
}
async function newest(where) {
  const { messages, page } = await getMessages(where, { limit: PAGE_MESSAGES });
  return { messages, hasOlder: page.has_more, hasNewer: false, first: "" };
}
async function around(where, messageId) {
  const { messages } = await getMessages(where, { limit: PAGE_MESSAGES, around: messageId });
  return { messages, hasOlder: true, hasNewer: true, first: "" };
}
async function from(where, at) {
  const { messages } = await getMessages(where, { limit: PAGE_MESSAGES, at });
  if (messages.length === 0) return newest(where);
  return { messages, hasOlder: true, hasNewer: true, first: messages[0].id };
}
var loadOlder = (where) => loadMore(where, "older");
var loadNewer = (where) => loadMore(where, "newer");
async function loadMore(where, direction) {
  const found = conversation(where);
  const has = direction === "older" ? "hasOlder" : "hasNewer";
  const edge = direction === "older" ? found.messages[0] : found.messages.at(-1);
  if (!found[has] || found.loading || !edge) return;
  const { generation } = found;
  Object.assign(found, { loading: direction, error: "" });
  told(keyOf(where));
  await whileHolding(async () => {
    try {
      const cursor = direction === "older" ? { before: edge.id } : { after: edge.id };
      const { messages, page } = await getMessages(where, { limit: PAGE_MESSAGES, ...cursor });
      if (generation !== found.generation) return;
      found[has] = page.has_more;
      add(found, messages, direction);
    } catch (error) {
      if (generation === found.generation) found.error = error.message;
    } finally {
      if (generation === found.generation) found.loading = "";
      told(keyOf(where));
    }
  });
}
function add(found, messages, direction) {
  const unseen = messages.filter(({ id }) => !found.ids.has(id));
  for (const { id } of unseen) found.ids.add(id);
  found.messages = direction === "older" ? [...unseen, ...found.messages] : [...found.messages, ...unseen];
  if (found.messages.length > MAX_MESSAGES) {
    const keep2 = found.messages.length - DROPPED_AT_ONCE;
    const dropped = direction === "older" ? found.messages.slice(keep2) : found.messages.slice(0, DROPPED_AT_ONCE);
    for (const { id } of dropped) found.ids.delete(id);
    found.messages = direction === "older" ? found.messages.slice(0, keep2) : found.messages.slice(DROPPED_AT_ONCE);
    found[direction === "older" ? "hasNewer" : "hasOlder"] = true;
  }
  return unseen.length;
}
async function learnThreads({ kind, id }) {
  if (kind === "dm") return;
  await whileHolding(async () => {
    const threads = await (kind === "room" ? getThreads(id) : getThread(id).then((thread) => [thread])).catch(() => []);
    for (const thread of threads) model.threads.set(thread.id, thread);
    store.changed("threads");
  });
}
function arrived(message, key) {
  const found = model.conversations.get(key);
  settled(key, message.id);
  if (found?.ids.has(message.id)) return;
  if (found?.loaded) {
    found.missing = false;
    const isFull = found.messages.length >= MAX_MESSAGES && open.key === key && !open.following;
    if (found.hasNewer || isFull) found.hasNewer = true;
    else add(found, [message], "newer");
    if (open.key === key && !open.following) found.newer += 1;
    told(key);
  }
  active(key, message);
  const isRead = open.key === key && !document.hidden;
  if (isRead) mark(key, message);
  if (message.from.id === sender().id) return;
  const text = message.parts.map((part2) => part2.text ?? part2.filename ?? part2.kind).join(" ");
  const name = message.from.name || message.from.id;
  if (isRead) {
    announce(`${name}: ${shortened(text, 200)}`);
    return;
  }
  const where = found ?? whereOf(key);
  if (where.kind === "dm" || isForMe(message)) notify(`${name} · ${titleOf(where)}`, text, { id: message.id, to: path(where.kind, where.id, { message: message.id }) });
  model.unread.set(key, (model.unread.get(key) ?? 0) + 1);
  store.changed("unread");
}
var whereOf = (key) => ({ kind: key.slice(0, key.indexOf(":")), id: key.slice(key.indexOf(":") + 1) });
function isForMe({ mentions = [], parts }) {
  const { id } = sender();
  const named = new RegExp(`(?<![\\w@])@${id}(?![\\w-])`, "i");
  return mentions.some((fqid) => fqid.endsWith(`/agents/${id}`)) || parts.some(({ text }) => text && named.test(text));
}
function active(key, message) {
  const at = Date.parse(message.created_at);
  if (model.lastAt.get(key) >= at) return;
  model.lastAt.set(key, at);
  store.changed("activity");
}
function markRead(key) {
  const found = model.conversations.get(key);
  if (found?.hasNewer) return;
  if (found?.messages.length > 0) mark(key, found.messages.at(-1));
  if (model.unread.delete(key)) store.changed("unread");
}
function follow(key, following) {
  if (open.key !== key || open.following === following) return;
  open.following = following;
  const found = model.conversations.get(key);
  if (following && found) found.newer = 0;
  told(key);
}
var pendingOf = (key) => model.pending.get(key) ?? [];
function send(where, target, text) {
  const message = { id: newId("msg"), target, from: sender(), parts: [{ kind: "text", text }] };
  const attempt = { message, state: "sending", error: "" };
  const key = keyOf(where);
  model.pending.set(key, [...pendingOf(key), attempt]);
  return transmit(key, attempt);
}
function retry(key, id) {
  const attempt = pendingOf(key).find((each) => each.message.id === id);
  if (attempt && attempt.state === "failed") transmit(key, attempt);
}
function discard(key, id) {
  settled(key, id);
}
async function transmit(key, attempt) {
  Object.assign(attempt, { state: "sending", error: "" });
  told(key);
  try {
    await sendMessage(attempt.message);
    attempt.state = "sent";
  } catch (error) {
    Object.assign(attempt, { state: "failed", error: error.message });
  }
  const found = model.conversations.get(key);
  if (found?.ids.has(attempt.message.id)) settled(key, attempt.message.id);
  if (attempt.state === "sent" && found?.missing) load(found);
  told(key);
}
function settled(key, id) {
  const rest = pendingOf(key).filter(({ message }) => message.id !== id);
  if (rest.length === pendingOf(key).length) return;
  model.pending.set(key, rest);
  told(key);
}
var draftOf = (key) => remembered(`draft.${key}`, "sessionStorage");
var keepDraft = (key, text) => remember(`draft.${key}`, text, "sessionStorage");

// lib/stream.js
var RETRY_FIRST_MS = 1e3;
var RETRY_MOST_MS = 15e3;
var EVENT_TYPES = [
  "message.created",
  "thread.created",
  "dm.created",
  "room.created",
  "room.updated",
  "room.members.updated",
  "room.removed",
  "agent.connected",
  "agent.disconnected",
  "agent.wake.delivered",
  "agent.wake.failed",
  "agent.muted",
  "agent.unmuted",
  "agent.removed",
  "approval.requested",
  "approval.decided",
  "pairing.updated",
  "stream.replay_gap"
];
var EventStream = class {
  constructor({ onState, onOpen, onEvent }) {
    Object.assign(this, { onState, onOpen, onEvent, lastId: "", retryMs: RETRY_FIRST_MS });
  }
  open() {
    this.close();
    const query = this.lastId ? `?${new URLSearchParams({ last_event_id: this.lastId })}` : "";
    this.source = new EventSource(`/v1/events/stream${query}`);
    this.source.onopen = () => {
      this.retryMs = RETRY_FIRST_MS;
      this.onState("live");
      this.onOpen(this.lastId !== "");
    };
    this.source.onerror = () => this.#lost();
    for (const type of EVENT_TYPES) {
      this.source.addEventListener(type, (received) => {
        this.lastId = received.lastEventId || this.lastId;
        this.onEvent(received.lastEventId, received.data);
      });
    }
  }
  close() {
    clearTimeout(this.retry);
    this.source?.close();
  }
  #lost() {
    this.onState("reconnecting");
    if (this.source.readyState !== EventSource.CLOSED) return;
    this.retry = setTimeout(() => this.open(), this.retryMs);
    this.retryMs = Math.min(2 * this.retryMs, RETRY_MOST_MS);
  }
};

// lib/sharing.js
var CHANNEL = "moltnet.stream";
var SESSIONS = "moltnet.session";
var ASK_EVERY_MS = 1e4;
var ANSWER_MS = 4e3;
var FORGOTTEN_MS = 3e5;
var TAKE_OVER_MOST_MS = 150;
var REMEMBERED_IDS = 512;
var SharedStream = class {
  constructor({ onState, onOpen, onEvent, onSession }) {
    Object.assign(this, { onState, onOpen, onEvent, onSession, name: "", role: "none", state: "connecting", lastId: "", askedAt: -Infinity });
    this.seen = /* @__PURE__ */ new Set();
    this.sessions = openChannel(SESSIONS, () => this.onSession());
    this.source = new EventStream({
      onState: (state) => this.#ownState(state),
      onOpen: (resumed) => this.#ownOpen(resumed),
      onEvent: (id, text) => this.#ownEvent(id, text)
    });
  }
  /** Begin, as whom the server takes us for: only tabs of the same reader share a stream. */
  open(reader) {
    this.close();
    this.reader = reader;
    this.#listen();
    this.#hold();
    this.#say("who");
  }
  close() {
    if (this.role === "holding") this.#say("gone");
    this.#stopTimers();
    this.source.close();
    this.channel?.close();
    Object.assign(this, { role: "none", channel: null });
  }
  /** Tell the other tabs that this browser is somebody else now. */
  sayNewSession() {
    this.sessions?.postMessage("new");
  }
  #listen() {
    this.channel = openChannel(CHANNEL, (told2) => told2.reader === this.reader && this.#heard(told2));
  }
  #say(kind, rest = {}) {
    this.channel?.postMessage({ kind, reader: this.reader, name: this.name, ...rest });
  }
  #heard(told2) {
    if (this.role === "holding") {
      this.askedAt = performance.now();
      if (told2.kind === "who") this.#sayHere();
      else if (told2.kind === "here" && told2.name < this.name) this.#follow(told2);
      return;
    }
    if (this.role !== "following") return;
    if (told2.kind === "here") this.#stillThere(told2);
    else if (told2.kind === "gone") this.#takeOverSoon();
    else if (told2.kind === "state") this.#tellState(told2.state);
    else if (told2.kind === "open") this.onOpen(told2.resumed);
    else if (told2.kind === "event") this.#passedOn(told2);
  }
  #sayHere() {
    this.#say("here", { state: this.state, lastId: this.lastId });
  }
  // ---- The tab that holds the stream -----------------------------------------------------------------------------------
  #hold() {
    this.#stopTimers();
    this.role = "holding";
    const random = crypto.getRandomValues(new Uint32Array(1))[0].toString(36);
    this.name = `${Date.now().toString(36).padStart(9, "0")}.${random}`;
    this.source.lastId = this.lastId;
    this.source.open();
  }
  #ownState(state) {
    this.#say("state", { state });
    this.#tellState(state);
  }
  #ownOpen(resumed) {
    this.#say("open", { resumed });
    this.onOpen(resumed);
  }
  #ownEvent(id, text) {
    if (performance.now() - this.askedAt < FORGOTTEN_MS) this.#say("event", { id, text, previous: this.lastId });
    this.#take(id, text);
  }
  // ---- The others ------------------------------------------------------------------------------------------------------
  #follow({ state, lastId }) {
    this.source.close();
    this.#stopTimers();
    const isBehind = lastId !== this.lastId || this.state !== "live";
    Object.assign(this, { role: "following", lastId });
    this.asking = setInterval(() => this.#ask(), ASK_EVERY_MS);
    this.#tellState(state);
    if (isBehind && state === "live") this.onOpen(false);
  }
  #passedOn({ id, text, previous }) {
    const isMissing = previous !== this.lastId && !this.seen.has(id);
    this.#take(id, text);
    if (isMissing) this.onOpen(false);
  }
  #ask() {
    this.#say("who");
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.#takeOver(), ANSWER_MS);
  }
  #stillThere({ state }) {
    clearTimeout(this.waiting);
    clearTimeout(this.takingOver);
    if (state !== this.state) this.#tellState(state);
  }
  #takeOverSoon() {
    clearTimeout(this.takingOver);
    this.takingOver = setTimeout(() => this.#takeOver(), Math.random() * TAKE_OVER_MOST_MS);
  }
  #takeOver() {
    this.#hold();
    this.askedAt = performance.now();
    this.#sayHere();
  }
  // ---- All -------------------------------------------------------------------------------------------------------------
  #take(id, text) {
    if (id) this.lastId = id;
    if (id && this.seen.has(id)) return;
    this.seen.add(id);
    if (this.seen.size > REMEMBERED_IDS) this.seen.delete(this.seen.values().next().value);
    this.onEvent(JSON.parse(text));
  }
  #tellState(state) {
    this.state = state;
    this.onState(state);
  }
  #stopTimers() {
    clearInterval(this.asking);
    clearTimeout(this.waiting);
    clearTimeout(this.takingOver);
  }
};
function openChannel(name, hear) {
  if (!("BroadcastChannel" in window)) return null;
  const channel = new BroadcastChannel(name);
  channel.onmessage = ({ data }) => hear(data);
  return channel;
}

// state/events.js
var MAX_WAKES = 2e3;
var KEPT_SECONDS = 120;
var NETWORK_MS = 1e3;
var ARRIVALS_MS = 1e3;
var MOST_ARRIVALS = 20;
function receive(event) {
  remember2(event);
  pass(event);
}
function remember2(event) {
  model.events.push(event);
  model.eventCount += 1;
  if (model.events.length > MAX_EVENTS + 200) model.events.splice(0, model.events.length - MAX_EVENTS);
  const now = Date.now();
  const second = Math.floor(now / 1e3);
  const rates = model.stream.perSecond;
  const lagMs = Math.max(0, now - Date.parse(event.created_at));
  if (rates.at(-1)?.second !== second) rates.push({ second, count: 0, lagMs: 0 });
  rates.at(-1).count += 1;
  rates.at(-1).lagMs = Math.max(lagMs, rates.at(-1).lagMs);
  if (rates.length > KEPT_SECONDS) rates.shift();
  model.stream.lagMs = lagMs;
  store.changed("events");
}
var HANDLERS = {
  "message.created": ({ message }) => message && counted2(message),
  "thread.created": ({ thread }) => put("threads", thread.id, thread),
  "dm.created": ({ dm }) => put("dms", dm.id, dm),
  "room.created": ({ room }) => roomChanged(room),
  "room.updated": ({ room }) => roomChanged(room),
  "room.members.updated": ({ room }) => roomChanged(room),
  "room.removed": ({ room }) => drop("rooms", room.id),
  "agent.connected": ({ agent, created_at }) => present(agent, true, created_at),
  "agent.disconnected": ({ agent, created_at }) => present(agent, false, created_at),
  "agent.muted": ({ agent }) => muted(agent),
  "agent.unmuted": ({ agent }) => muted(agent),
  "agent.removed": ({ agent }) => drop("agents", agent.fqid || agent.agent_id),
  "agent.wake.delivered": (event) => woken(event, "delivered"),
  "agent.wake.failed": (event) => woken(event, "failed"),
  "approval.requested": ({ approval }) => asked(approval),
  "approval.decided": ({ approval }) => put("approvals", approval.id, approval),
  "pairing.updated": ({ pairing }) => pairing && paired(pairing),
  "stream.replay_gap": () => holding.refresh()
};
holding.apply = (event) => HANDLERS[event.type]?.(event);
function put(slice, id, value) {
  model[slice].set(id, value);
  store.changed(slice);
}
function drop(slice, id) {
  model[slice].delete(id);
  store.changed(slice);
}
function counted2(message) {
  const { kind, id } = conversationOf(message.target);
  const list = { dm: model.dms, thread: model.threads }[kind];
  const known = list?.get(id);
  if (known && new Date(message.created_at) > new Date(known.last_message_at)) {
    const grown = { message_count: known.message_count + 1, last_message_at: message.created_at };
    put(kind === "dm" ? "dms" : "threads", id, { ...known, ...grown });
  }
  arrived(message, keyOf({ kind, id }));
}
function asked(approval) {
  put("approvals", approval.id, approval);
  notify("An approval waits", `${agentName(approval.agent_id)} asks to be woken.`, { id: approval.id, to: path("approvals") });
}
var askingForNetwork = 0;
function paired(pairing) {
  put("pairings", pairing.id, pairing);
  askingForNetwork ||= setTimeout(async () => {
    askingForNetwork = 0;
    model.network = await getNetwork().catch(() => model.network);
    store.changed("network");
  }, NETWORK_MS);
}
async function roomChanged(room) {
  put("rooms", room.id, { ...room, access: model.rooms.get(room.id)?.access });
  for (const agent of model.agents.values()) {
    const isMember = (room.members ?? []).some((member) => member === agent.id || member === agent.fqid);
    const rooms = (agent.rooms ?? []).filter((id) => id !== room.id);
    agent.rooms = isMember ? [...rooms, room.id].sort() : rooms;
  }
  store.changed("agents");
  try {
    put("rooms", room.id, await getRoom(room.id));
  } catch (error) {
    if (error.status === 403 || error.status === 404) drop("rooms", room.id);
  }
}
function present(agent, connected2, at) {
  const key = agent.fqid || agent.agent_id;
  const fresh2 = { id: agent.agent_id, network_id: agent.network_id, fqid: agent.fqid, name: agent.name, rooms: [] };
  put("agents", key, { ...model.agents.get(key) ?? fresh2, connected: connected2, seenAt: at });
  if (connected2 && mayObserve()) arrivals.add(key);
  if (arrivals.size > 0) learning ||= setTimeout(learnArrivals, ARRIVALS_MS);
}
var arrivals = /* @__PURE__ */ new Set();
var learning = 0;
async function learnArrivals() {
  const keys = [...arrivals];
  arrivals.clear();
  learning = 0;
  if (keys.length > MOST_ARRIVALS) return;
  for (const key of keys) await learnAgent(key);
}
async function learnAgent(key) {
  const told2 = await getAgent(key).catch(() => null);
  const known = model.agents.get(key);
  if (told2 && known) put("agents", key, { ...told2, connected: known.connected, seenAt: known.seenAt });
}
function muted({ fqid, agent_id, mute: mute2 }) {
  const key = fqid || agent_id;
  const known = model.agents.get(key);
  if (known) put("agents", key, { ...known, mute: mute2 });
}
function woken({ agent, created_at }, state) {
  const byAgent = new Map(model.wakes.get(agent.message_id));
  byAgent.set(agent.fqid || agent.agent_id, { state, reason: agent.reason, error: agent.error ?? "", at: created_at });
  model.wakes.set(agent.message_id, byAgent);
  if (model.wakes.size > MAX_WAKES) model.wakes.delete(model.wakes.keys().next().value);
  store.changed("wakes");
}

// state/session.js
var RETRY_MS = 5e3;
var stream = new SharedStream({
  onState: showStream,
  onOpen: connected,
  onEvent: receive,
  // What this reader may see has changed: everything is fetched anew.
  onSession: () => location.reload()
});
var retrying = 0;
async function start() {
  clearTimeout(retrying);
  try {
    model.who = await whoAmI();
    model.network = await getNetwork();
  } catch (error) {
    failed(error);
    return;
  }
  rememberReading(model.network.id);
  store.changed("session", "network");
  const { kind, credential_id = "", scopes = [], expires_at = "" } = model.who;
  stream.open([kind, credential_id, ...scopes, expires_at].join(" "));
}
addEventListener("pagehide", () => stream.close());
addEventListener("pageshow", (shown) => shown.persisted && start());
async function signIn2(token) {
  await signIn(token);
  stream.sayNewSession();
  location.reload();
}
async function signOut2() {
  await signOut();
  stream.sayNewSession();
  location.reload();
}
function showStream(state) {
  model.stream.state = state;
  if (state === "reconnecting" && model.phase === "starting") model.problem = "the server gives no stream of events";
  store.changed("stream", "session");
  if (state === "reconnecting") whoAmI().then(recognise, () => {
  });
}
function recognise(who) {
  const ended = model.who.signed_in && !who.signed_in;
  model.who = who;
  store.changed("session");
  if (ended) start();
}
async function connected(resumed) {
  try {
    await whileHolding(async () => {
      await fetchLists(resumed);
      model.phase = "ready";
      model.problem = "";
      store.changed("session");
    });
    await reloadConversations(resumed);
  } catch (error) {
    failed(error);
  }
}
holding.refresh = () => connected(false);
async function fetchLists(resumed) {
  const observing = mayObserve();
  const withDirects = observing || model.who.kind === "agent" || model.who.agents?.length > 0;
  const none = Promise.resolve([]);
  const [network, rooms, agents, dms, pairings, approvals, outbox] = await Promise.all([
    getNetwork(),
    getRooms(),
    getAgents(),
    withDirects ? getDirects() : none,
    observing ? getPairings() : none,
    observing ? getApprovals().then((page) => page.approvals) : none,
    observing ? getOutbox().then((answer) => answer.queues) : none
  ]);
  const seen = new Map([...model.agents].map(([key, agent]) => [key, agent.seenAt]));
  const agentKey = (agent) => agent.fqid || agent.id;
  model.network = network;
  model.rooms = new Map(rooms.map((room) => [room.id, room]));
  model.agents = new Map(agents.map((agent) => [agentKey(agent), { ...agent, seenAt: seen.get(agentKey(agent)) }]));
  model.dms = new Map(dms.map((dm) => [dm.id, dm]));
  model.pairings = new Map(pairings.map((pairing) => [pairing.id, pairing]));
  model.approvals = new Map(approvals.map((approval) => [approval.id, approval]));
  model.outbox = new Map(outbox.map((queue) => [queue.pairing_id, queue]));
  for (const dm of dms) model.lastAt.set(`dm:${dm.id}`, Date.parse(dm.last_message_at));
  store.changed("network", "rooms", "agents", "dms", "pairings", "approvals", "outbox", "activity");
  const asked3 = rooms.filter(({ id }) => !resumed || !model.lastAt.has(`room:${id}`)).map(({ id }) => ({ kind: "room", id }));
  const recent = [...dms].sort((a3, b) => b.last_message_at.localeCompare(a3.last_message_at)).map(({ id }) => ({ kind: "dm", id }));
  countUnread([...asked3, ...resumed ? [] : recent].filter((where) => keyOf(where) !== open.key));
}
async function reloadConversations(resumed) {
  for (const [key, found] of model.conversations) {
    if (resumed && !found.error) continue;
    if (key !== open.key) model.conversations.delete(key);
    else if (found.loaded || found.error) await load(found);
  }
}
function failed(error) {
  stream.close();
  model.stream.state = error.needsSignIn ? "sign-in needed" : "offline";
  model.problem = error.needsSignIn ? "" : error.message;
  if (error.needsSignIn) model.phase = "signed-out";
  else if (model.phase === "starting") model.phase = "offline";
  store.changed("session", "stream");
  clearTimeout(retrying);
  if (!error.needsSignIn) retrying = setTimeout(start, RETRY_MS);
}
async function refreshPairings() {
  await whileHolding(async () => {
    const [pairings, outbox] = await Promise.all([getPairings(), getOutbox()]);
    model.pairings = new Map(pairings.map((pairing) => [pairing.id, pairing]));
    model.outbox = new Map(outbox.queues.map((queue) => [queue.pairing_id, queue]));
    store.changed("pairings", "outbox");
  });
}

// parts/announcer.js
function Announcer() {
  useSlices("announcer");
  return html`<p class="visually-hidden" role="status" aria-live="polite">${said.text}</p>`;
}

// parts/bits.js
function Time({ at, show = fullTime }) {
  if (!at) return "—";
  return html`<time datetime=${at} title=${fullTime(at, model.settings.utc)}>${show(at, model.settings.utc)}</time>`;
}
function Presence({ agent }) {
  const words = agent.connected ? "online" : "offline";
  return html`<span class="presence ${words}"><span class="dot" aria-hidden="true"></span>${words}</span>`;
}
function Avatar({ actor }) {
  const letter = [...(actor.name || actor.id || "?").trim()][0] ?? "?";
  return html`<span class="avatar c${colourOf(actor)} ${actor.type === "human" ? "human" : ""}" data-letter=${letter.toUpperCase()} aria-hidden="true"></span>`;
}
function Actor({ actor }) {
  const kind = actor.type === "human" ? "human" : actor.id;
  return html`<span class="actor c${colourOf(actor)}" title=${actor.fqid || actor.id}>
    <bdi>${actor.name || actor.id}</bdi> <small>${kind}</small>
  </span>`;
}
function AgentLink({ id }) {
  const agent = findAgent(id);
  return agent ? html`<a href=${path("agent", agent.fqid || agent.id)}>${agentName(agent.fqid || agent.id)}</a>` : html`<span>${agentName(id)}</span>`;
}
function TargetLink({ target, message = "" }) {
  if (!target) return "—";
  const where = conversationOf(target);
  const sign = { room: "#", dm: "✉", thread: "↳" }[where.kind] ?? "";
  return html`<a href=${path(where.kind, where.id, message ? { message } : {})}>${sign} ${titleOf(where)}</a>`;
}
function Guarded({ why, children, onClick, className = "", ...rest }) {
  return html`<button
    type="button" class=${className} aria-disabled=${why ? "true" : void 0} title=${why || void 0}
    onClick=${(click) => why ? click.preventDefault() : onClick(click)} ...${rest}
  >${children}${why && html`<span class="visually-hidden"> (${why})</span>`}</button>`;
}
function Panel({ title, count = "", children, actions = null, lead = "" }) {
  return html`<section class="panel" aria-label=${title}>
    <header class="panel-head">
      <h2>${title}${count !== "" && html` <span class="count">${count}</span>`}</h2>
      ${actions}
    </header>
    ${lead && html`<p class="lead">${lead}</p>`}
    ${children}
  </section>`;
}
function Empty({ children }) {
  return html`<p class="empty">${children}</p>`;
}
function Note({ why }) {
  return why && html`<p class="read-only" role="note">${why}</p>`;
}
function Problem({ error, retry: retry2 }) {
  return html`<p class="problem" role="alert">
    <span>${sentence(error)}</span> ${retry2 && html`<button type="button" onClick=${retry2}>try again</button>`}
  </p>`;
}
function useAnswer(ask, reasons) {
  const [state, setState] = d2({ answer: null, error: "", isLoading: true });
  const [count, setCount] = d2(0);
  A2(() => {
    let isCurrent = true;
    const tell = (change2) => isCurrent && setState((before) => ({ ...before, isLoading: false, ...change2 }));
    setState((before) => ({ ...before, isLoading: true }));
    ask().then((answer) => tell({ answer, error: "" }), (error) => tell({ error: error.message }));
    return () => {
      isCurrent = false;
    };
  }, [...reasons, count]);
  return { ...state, again: () => setCount((before) => before + 1) };
}

// parts/dialog.js
function Dialog({ title, onClose, children, className = "" }) {
  const dialog = T2(null);
  F2(() => {
    dialog.current.showModal();
  }, []);
  return html`<dialog
    ref=${dialog} class=${className} aria-label=${title} onClose=${onClose}
    onClick=${(click) => click.target === dialog.current && dialog.current.close()}
  >
    <div class="dialog-body">${children}</div>
  </dialog>`;
}
var asked2 = { question: null };
function confirm(question) {
  asked2.question = question;
  store.changed("dialog");
}
function close() {
  asked2.question = null;
  store.changed("dialog");
}
function Confirmation() {
  useSlices("dialog");
  return asked2.question && html`<${Question} key=${asked2.question.title} ...${asked2.question} />`;
}
function Question({ title, text, label, act, danger = true, fields = [] }) {
  const [state, setState] = d2({ isBusy: false, error: "", result: null });
  const go = async (submit) => {
    submit.preventDefault();
    const written = Object.fromEntries([...new FormData(submit.target)].map(([name, value]) => [name, value.trim()]));
    setState({ isBusy: true, error: "", result: null });
    try {
      const result = await act(written);
      if (result) setState({ isBusy: false, error: "", result });
      else close();
    } catch (error) {
      setState({ isBusy: false, error: error.message, result: null });
    }
  };
  return html`<${Dialog} title=${title} onClose=${close}>
    <form onSubmit=${go}>
      <h2>${title}</h2>
      <p>${text}</p>
      ${!state.result && fields.map((field) => html`<label>${field.label}
        <input name=${field.name} type=${field.type ?? "text"} min=${field.min} maxlength="1024" autocomplete="off" /></label>`)}
      ${state.error && html`<p class="problem" role="alert">Not done: ${state.error}</p>`}
      ${state.result && html`<div role="status">${state.result}</div>`}
      <div class="actions end">
        <button type="button" onClick=${close}>${state.result ? "close" : "cancel"}</button>
        ${!state.result && html`<button class=${danger ? "danger" : "primary"} disabled=${state.isBusy}>${label}</button>`}
      </div>
    </form>
  <//>`;
}

// parts/icons.js
var SHAPES = {
  conversations: "M4 5h16v11H9l-5 4z",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13M15.5 15.5 21 21",
  agents: "M7 9h10v9H7zM12 9V5M9.5 13h.01M14.5 13h.01M4 12v4M20 12v4",
  approvals: "M4 13l3-8h10l3 8v6H4zM4 13h5l1 2h4l1-2h5",
  pairings: "M10 14l4-4M8 12l-2.5 2.5a3.5 3.5 0 0 0 5 5L13 17M16 12l2.5-2.5a3.5 3.5 0 0 0-5-5L11 7",
  events: "M3 12h4l3-7 4 14 3-7h4",
  health: "M12 20s-8-4.6-8-10.4A4.6 4.6 0 0 1 12 7a4.6 4.6 0 0 1 8 2.6C20 15.4 12 20 12 20z",
  admin: "M12 9a3 3 0 1 0 0 6 3 3 0 0 0 0-6M12 3v3M12 18v3M4.2 7.5l2.6 1.5M17.2 15l2.6 1.5M4.2 16.5l2.6-1.5M17.2 9l2.6-1.5",
  back: "M15 5l-7 7 7 7",
  files: "M14 3H6v18h12V7zM14 3v4h4M9 13h6M9 17h6",
  calendar: "M4 6h16v14H4zM4 10h16M8 3v4M16 3v4",
  members: "M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7M3 20c0-4 2.5-6 6-6s6 2 6 6M16 4.5a3.5 3.5 0 0 1 0 6M18 14.5c2 .8 3 2.7 3 5.5",
  thread: "M4 5h16v9H10l-4 4v-4H4z",
  close: "M6 6l12 12M18 6L6 18",
  send: "M4 12l16-8-6 16-3-6z",
  down: "M12 5v14M6 13l6 6 6-6"
};
function Icon({ name }) {
  return html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false"><path d=${SHAPES[name]} /></svg>`;
}

// views/account.js
var COLOURS = { system: "as the system", dark: "dark", light: "light" };
var CONTRASTS = { system: "as the system", more: "high" };
function Account({ ask }) {
  useSlices("settings", "session");
  const { who } = model;
  const [problem, setProblem] = d2("");
  const menu = T2(null);
  useClosing(menu);
  const name = who.kind === "unchecked" ? "no sign-in" : who.credential_id || who.agents?.join(", ") || "not signed in";
  const leave = () => signOut2().catch((error) => setProblem(`Not signed out: ${error.message}.`));
  return html`<div class="account">
    ${who.kind === "anonymous" && html`<button type="button" class="primary" onClick=${ask}>sign in</button>`}
    <details class="menu" ref=${menu}>
      <summary aria-label="You: ${name}"><${Avatar} actor=${sender()} /> <span>${name}</span></summary>
      <div class="menu-body">
        <dl class="facts">
          <dt>may</dt><dd>${who.kind === "unchecked" ? "everything: this network asks for no tokens" : who.scopes?.join(", ") || "read what is public"}</dd>
          ${who.agents?.length > 0 && html`<dt>as</dt><dd>${who.agents.join(", ")}</dd>`}
          ${who.expires_at && html`<dt>until</dt><dd><time datetime=${who.expires_at}>${fullTime(who.expires_at, model.settings.utc)}</time></dd>`}
        </dl>
        <${Settings} />
        ${who.signed_in && html`<button type="button" onClick=${leave}>sign out</button>`}
        ${problem && html`<p class="problem" role="alert">${problem}</p>`}
      </div>
    </details>
  </div>`;
}
function Settings() {
  const { settings } = model;
  const why = whyNoNotifications();
  const [isAsked, setAsked] = d2(false);
  const notify2 = async (change2) => {
    const box = change2.target;
    await setNotifications(box.checked);
    box.checked = model.settings.notify;
    setAsked(true);
  };
  const choice = (name, label, words) => html`<label>${label} <select value=${settings[name]} onChange=${(change2) => setSetting(name, change2.target.value)}>
    ${Object.entries(words).map(([value, word]) => html`<option value=${value}>${word}</option>`)}
  </select></label>`;
  return html`<label>your name here <input value=${settings.name} maxlength="64" autocomplete="off"
      onChange=${(change2) => setSetting("name", change2.target.value.trim() || "you")} /></label>
    ${choice("theme", "colours", COLOURS)}
    ${choice("contrast", "contrast", CONTRASTS)}
    <label class="check"><input type="checkbox" checked=${settings.utc} onChange=${(change2) => setSetting("utc", change2.target.checked)} /> times in UTC</label>
    <label class="check"><input type="checkbox" checked=${settings.notify} disabled=${why} onChange=${notify2} /> notify me of what is for me</label>
    ${(why || isAsked && !settings.notify) && html`<p class="read-only" role="note">${why || "This browser shows no notifications."}</p>`}`;
}
function useClosing(menu) {
  A2(() => {
    const outside = ({ target }) => !menu.current?.contains(target) && menu.current?.removeAttribute("open");
    const escape = (press) => {
      if (press.key !== "Escape" || !menu.current?.open) return;
      menu.current.removeAttribute("open");
      menu.current.querySelector("summary").focus();
    };
    addEventListener("pointerdown", outside);
    addEventListener("keydown", escape);
    return () => {
      removeEventListener("pointerdown", outside);
      removeEventListener("keydown", escape);
    };
  }, []);
}

// views/admin-configuration.js
var EXAMPLE = `{ "rooms": [{ "id": "war-room", "name": "War room", "members": ["alpha"] }] }`;
function ConfigurationPart({ why }) {
  const reload2 = () => confirm({
    title: "Read the configuration file again",
    text: "What the file says now is taken over in one step. Attachments and streams whose token is gone end.",
    label: "reload",
    danger: false,
    act: async () => {
      const { changed, ended, notices = [] } = await reload();
      return html`<p>${changed.length > 0 ? `Changed: ${changed.join(", ")}; ${ended} connections ended.` : "Nothing has changed."}</p>
        ${notices.map((notice) => html`<p class="faint">${notice}</p>`)}`;
    }
  });
  return html`<${Panel} title="configuration file" lead="After it was edited: rooms, tokens, pairings and limits are taken over while everything goes on.">
      <div class="actions"><${Guarded} why=${why} onClick=${reload2}>read the file again…<//></div>
    <//>
    <${Apply} why=${why} />`;
}
function Apply({ why }) {
  const [text, setText] = d2("");
  const [state, setState] = d2({ changes: null, error: "", isBusy: false });
  const wanted = () => {
    try {
      return { network_id: model.network.id, ...JSON.parse(text) };
    } catch (error2) {
      throw new Error(`this is no JSON: ${error2.message}`);
    }
  };
  const preview = async (submit) => {
    submit.preventDefault();
    if (why) return;
    setState({ changes: null, error: "", isBusy: true });
    try {
      const { changes: changes2 = [] } = await apply(wanted(), true);
      setState({ changes: changes2, error: "", isBusy: false });
    } catch (error2) {
      setState({ changes: null, error: error2.message, isBusy: false });
    }
  };
  const go = () => confirm({
    title: "Apply the document",
    text: `What was previewed is done in one step, or nothing of it.`,
    label: "apply",
    act: async () => {
      await apply(wanted(), false);
      setState({ changes: null, error: "", isBusy: false });
      return html`<p>Done.</p>`;
    }
  });
  const { changes, error, isBusy } = state;
  return html`<${Panel} title="apply" lead="Rooms and agents as a document says, as moltnet apply does it. A room becomes exactly what it says; rooms and agents that it does not name stay.">
    <form class="apply" onSubmit=${preview}>
      <label>document, as JSON <textarea rows="8" value=${text} placeholder=${EXAMPLE} disabled=${why} spellcheck=${false}
        onInput=${(input) => {
    setText(input.target.value);
    setState({ changes: null, error: "", isBusy: false });
  }}></textarea></label>
      <div class="actions">
        <button class="primary" disabled=${why || !text.trim() || isBusy}>preview</button>
        ${changes?.length > 0 && html`<${Guarded} why=${why} onClick=${go}>apply…<//>`}
      </div>
    </form>
    ${error && html`<${Problem} error=${error} />`}
    ${changes?.length === 0 && html`<${Empty}>Nothing would change.<//>`}
    <ul class="log" aria-label="Changes">${(changes ?? []).map(({ kind, id, action, detail }) => html`<li>
      <span class="chip">${action}</span> <span>${kind} <code>${id}</code></span> <span class="faint">${detail}</span>
    </li>`)}</ul>
  <//>`;
}

// views/admin-room.js
var READERS = { private: "members and operators", public: "everybody" };
var WRITERS = { members: "members", registered_agents: "registered agents", operators: "operators" };
var SUGGESTED = 300;
function PolicyFields({ why, room = {} }) {
  const choice = (name, label, words) => html`<label>${label} <select name=${name} disabled=${why}>
    ${Object.entries(words).map(([value, word]) => html`<option value=${value} selected=${room[name] === value}>${word}</option>`)}
  </select></label>`;
  return html`${choice("visibility", "read by", READERS)}${choice("write_policy", "written by", WRITERS)}`;
}
var namesOf = (text) => text.split(",").map((each) => each.trim()).filter(Boolean);
function keep(room) {
  model.rooms.set(room.id, { ...model.rooms.get(room.id), ...room });
  store.changed("rooms");
}
function Room({ room, why }) {
  const [problem, setProblem] = d2("");
  const attempt = (work) => work.then((changed) => {
    keep(changed);
    setProblem("");
  }, (error) => setProblem(error.message));
  const save3 = (submit) => {
    submit.preventDefault();
    if (!why) attempt(changeRoom(room.id, Object.fromEntries(new FormData(submit.target))));
  };
  const add2 = (submit) => {
    submit.preventDefault();
    const field = submit.target.elements.member;
    if (!why) attempt(changeMembers(room.id, { add: namesOf(field.value) })).then(() => field.value = "");
  };
  const remove = () => confirm({
    title: `Remove the room ${room.id}`,
    text: "Nobody finds it any more and its members are gone. Its messages stay, and the room can be restored.",
    label: "remove",
    act: async () => void await removeRoom(room.id)
  });
  const members = room.members ?? [];
  return html`<${Panel} title=${room.name || room.id} actions=${html`<a href=${path("room", room.id)}>open</a>`}>
    <form class="fields" onSubmit=${save3} key=${`${room.name} ${room.visibility} ${room.write_policy}`}>
      <label>room's name <input name="name" maxlength="200" autocomplete="off" value=${room.name ?? ""} disabled=${why} /></label>
      <${PolicyFields} why=${why} room=${room} />
      <button disabled=${why}>save</button>
    </form>
    <h3>members <span class="count">${members.length}</span></h3>
    <ul class="members">${members.map((member) => html`<li key=${member} class="chip">
      <bdi>${member}</bdi> <${Guarded} why=${why} className="bare" aria-label="Remove ${member}" onClick=${() => attempt(changeMembers(room.id, { remove: [member] }))}><${Icon} name="close" /><//>
    </li>`)}</ul>
    ${members.length === 0 && html`<${Empty}>Nobody is a member.<//>`}
    <form class="fields" onSubmit=${add2}>
      <label>new member <input name="member" required autocomplete="off" list="agents-known" disabled=${why} /></label>
      <datalist id="agents-known">${[...model.agents.values()].slice(0, SUGGESTED).map((agent) => html`<option value=${agent.id}></option>`)}</datalist>
      <button disabled=${why}>add</button>
      <${Guarded} why=${why} className="danger apart" onClick=${remove}>remove the room…<//>
    </form>
    ${problem && html`<${Problem} error=${problem} />`}
  <//>`;
}
function RemovedRooms({ why }) {
  const { answer, error, again } = useAnswer(() => isAdmin() ? getRemovedRooms() : Promise.resolve([]), [model.rooms.size]);
  const restore = (room) => confirm({
    title: `Restore the room ${room.id}`,
    text: "It is found again, with its messages, its name and its policies. Who is not named here is no member any more.",
    fields: [{ name: "members", label: "members, by commas" }],
    label: "restore",
    danger: false,
    act: async ({ members }) => {
      keep(await restoreRoom(room.id, namesOf(members)));
      again();
      navigate(path("admin", "", { room: room.id }));
    }
  });
  const rooms = answer ?? [];
  return html`<${Panel} title="removed rooms" count=${rooms.length}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${!error && rooms.length === 0 && html`<${Empty}>${why || "None. A room that is removed is kept here."}<//>`}
    <ul class="cards">${rooms.map((room) => html`<li class="card row" key=${room.id}>
      <span><bdi>${room.name || room.id}</bdi> <small class="faint"><code>${room.id}</code> removed <${Time} at=${room.removed_at} /></small></span>
      <${Guarded} why=${why} aria-label="Restore ${room.id}" onClick=${() => restore(room)}>restore…<//>
    </li>`)}</ul>
  <//>`;
}

// views/agents.js
var SHOWN = 500;
var ROOMS_SHOWN = 3;
function AgentsView() {
  useSlices("agents", "settings", "rooms", "activity");
  const [filter, setFilter] = d2("");
  const [onlyOnline, setOnlyOnline] = d2(false);
  const wanted = filter.trim().toLowerCase();
  const fits2 = (agent) => `${agent.id} ${agent.name ?? ""} ${agent.network_id ?? ""} ${agent.runtime ?? ""} ${agent.host ?? ""}`.toLowerCase().includes(wanted);
  const all = [...model.agents.values()].filter((agent) => fits2(agent) && (!onlyOnline || agent.connected)).sort((a3, b) => b.connected - a3.connected || a3.id.localeCompare(b.id));
  const controls = html`<div class="actions">
    <label class="check"><input type="checkbox" checked=${onlyOnline} onChange=${(change2) => setOnlyOnline(change2.target.checked)} /> online</label>
    <input type="search" aria-label="Filter agents" placeholder="Filter" value=${filter} onInput=${(input) => setFilter(input.target.value)} />
  </div>`;
  return html`<${Panel} title="agents" count=${all.length} actions=${controls}>
    ${all.length === 0 && html`<${Empty}>${wanted || onlyOnline ? "Nobody fits." : "No agents yet. Attach one with moltnet node start."}<//>`}
    ${all.length > 0 && html`<div class="table" tabindex="0" role="region" aria-label="Agents"><table class="stacked">
      <thead><tr><th scope="col">agent</th><th scope="col">presence</th><th scope="col">runs on</th><th scope="col">rooms</th><th scope="col">seen</th></tr></thead>
      <tbody>${all.slice(0, SHOWN).map((agent) => html`<${Row} key=${agent.fqid || agent.id} agent=${agent} />`)}</tbody>
    </table></div>`}
    ${all.length > SHOWN && html`<${Empty}>${all.length - SHOWN} more: use the filter.<//>`}
    ${cutLists.has("/v1/agents") && html`<${Empty}>There are more than this page reads: open one by its address, /console/agent/ and its id.<//>`}
  <//>`;
}
function Row({ agent }) {
  const rooms = agent.rooms ?? [];
  return html`<tr>
    <th scope="row"><span class="who"><${Avatar} actor=${agent} />
      <span><a href=${path("agent", agent.fqid || agent.id)}><bdi>${agent.name || agent.id}</bdi></a>
        <small class="faint"><code>${isOfAnotherNetwork(agent) ? `${agent.network_id}:` : ""}${agent.id}</code></small></span></span></th>
    <td data-label="Presence"><${Presence} agent=${agent} /> ${isMuted(agent) && html`<span class="chip warn">muted</span>`}</td>
    <td data-label="Runs on">${[agent.runtime, agent.host].filter(Boolean).join(" · ") || html`<span class="faint">—</span>`}</td>
    <td data-label="Rooms"><span class="chips">${rooms.slice(0, ROOMS_SHOWN).map((id) => html`<a class="chip" href=${path("room", id)}># ${model.rooms.get(id)?.name || id}</a>`)}
      ${rooms.length > ROOMS_SHOWN && html`<span class="faint">and ${rooms.length - ROOMS_SHOWN} more</span>`}${rooms.length === 0 && html`<span class="faint">none</span>`}</span></td>
    <td data-label="Seen">${seenOf(agent)}</td>
  </tr>`;
}
var isMuted = ({ mute: mute2 }) => Boolean(mute2) && !(Date.parse(mute2.until) < Date.now());
function seenOf(agent) {
  const at = agent.connected ? "" : agent.seenAt || agent.last_seen_at;
  if (agent.connected) return "now";
  if (!at) return html`<span class="faint">—</span>`;
  const words = ago(at);
  return html`<time datetime=${at} title=${fullTime(at, model.settings.utc)}>${words === "now" ? "just now" : `${words} ago`}</time>`;
}

// views/agent.js
function AgentView({ id }) {
  useSlices("agents", "settings", "session", "network", "activity");
  const agent = findAgent(id);
  A2(() => void (agent && learnAgent(agent.fqid || agent.id)), [id]);
  if (!agent) return html`<${Panel} title="agent"><${Empty}>There is no agent ${shortened(id)} that you may know of. <a href=${path("agents")}>Who there is</a><//><//>`;
  const me = humanId(model.settings.name);
  const direct = `${me}-${agent.id}`.slice(0, 128);
  const why = whyReadOnly({ kind: "dm", id: direct });
  const fqid = agent.fqid || agent.id;
  return html`<${Panel} title=${agent.name || agent.id} actions=${html`<${Presence} agent=${agent} />`}>
      ${isMuted(agent) && html`<${Muted} mute=${agent.mute} />`}
      <dl class="facts">
        <dt>id</dt><dd><code>${agent.id}</code></dd>
        <dt>address</dt><dd><code>${fqid}</code></dd>
        <dt>network</dt><dd>${agent.network_id}</dd>
        <dt>last seen</dt><dd>${seenOf(agent)}</dd>
        <dt>runtime</dt><dd>${agent.runtime || html`<span class="faint">its node does not say</span>`}</dd>
        <dt>host</dt><dd>${agent.host || html`<span class="faint">its node does not say</span>`}</dd>
        <dt>rooms</dt><dd class="chips">${(agent.rooms ?? []).map((room) => html`<a class="chip" href=${path("room", room)}># ${model.rooms.get(room)?.name || room}</a> `)}${agent.rooms?.length ? "" : "none"}</dd>
        <dt>direct</dt><dd>${why ? html`<span class="faint">${why}</span>` : html`<a href=${path("dm", direct, { with: agent.id })}>write to ${agent.id}</a>`}</dd>
      </dl>
    <//>
    ${isOfAnotherNetwork(agent) ? html`<${Panel} title="wakes"><${Note} why="Its own network knows what wakes it." /><//>` : html`<${Wakes} fqid=${fqid} />`}
    <${Actions} agent=${agent} />`;
}
function Muted({ mute: { since, until, reason, by } }) {
  return html`<p class="banner" role="note">Muted since <${Time} at=${since} />${until ? html` until <${Time} at=${until} />` : ""}${by ? html` by <code>${by}</code>` : ""}.
    What it sends is refused.${reason && html` <q>${reason}</q>`}</p>`;
}
function Wakes({ fqid }) {
  const { answer, error, isLoading, again } = useAnswer(() => mayObserve() ? getWakes(fqid) : Promise.resolve(null), [fqid]);
  const refresh = html`<button type="button" onClick=${again}>refresh</button>`;
  if (!mayObserve()) return html`<${Panel} title="wakes"><${Note} why="To see wakes takes a token with observe or admin." /><//>`;
  return html`<${Panel} title="wakes" count=${answer ? `${answer.pending_total} waiting` : ""} actions=${refresh}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${isLoading && !answer && html`<p class="empty" role="status">loading…</p>`}
    ${answer && answer.pending.length + answer.wakes.length === 0 && html`<${Empty}>Nothing has woken this agent yet.<//>`}
    <ul class="log">
      ${answer?.pending.map((wake) => html`<li>
        <${Time} at=${wake.since} /> <span class="chip wake pending">waiting</span> ${wake.reason} <${TargetLink} target=${wake.target} message=${wake.message_id} />
      </li>`)}
      ${[...answer?.wakes ?? []].reverse().map((event) => html`<li>
        <${Time} at=${event.created_at} />
        ${event.type === "agent.wake.failed" ? html`<span class="chip wake failed">failed</span>` : html`<span class="chip wake delivered">delivered</span>`}
        ${event.agent.reason} <${TargetLink} target=${event.agent.target} message=${event.agent.message_id} />
        ${event.agent.error && html` <span class="problem">${event.agent.error}</span>`}
      </li>`)}
    </ul>
  <//>`;
}
function resetToken(agentId) {
  confirm({
    title: `New token for ${agentId}`,
    text: "What holds the agent now stops at once: its attachments close and its requests are refused.",
    label: "make a new token",
    act: async () => {
      const { agent_token } = await resetAgentToken(agentId);
      return html`<p>The token, shown once:</p><p><code class="secret" tabindex="0">${agent_token}</code></p>`;
    }
  });
}
function revokeToken(agentId) {
  confirm({
    title: `Revoke the token of ${agentId}`,
    text: "Nobody can be this agent until an administrator makes a new token. It stays a member of its rooms.",
    label: "revoke",
    act: async () => void await revokeAgentToken(agentId)
  });
}
function mute(agent) {
  confirm({
    title: `Mute ${agent.id}`,
    text: "It reads and is woken as before, and what it sends is refused with your reason until it is unmuted.",
    label: "mute",
    fields: [
      { name: "reason", label: "reason (the agent sees it)" },
      { name: "minutes", label: "minutes (empty: until unmuted)", type: "number", min: 1 }
    ],
    act: async ({ reason, minutes }) => {
      await muteAgent(agent.id, { reason, ...minutes && { minutes: Number(minutes) } });
      await learnAgent(agent.fqid || agent.id);
    }
  });
}
function unmute(agent) {
  confirm({
    title: `Unmute ${agent.id}`,
    text: "What it sends is taken again.",
    label: "unmute",
    danger: false,
    act: async () => {
      await unmuteAgent(agent.id);
      await learnAgent(agent.fqid || agent.id);
    }
  });
}
function Actions({ agent }) {
  const why = whyNotAdmin() || (isOfAnotherNetwork(agent) ? "Only the agent's own network can do this." : "");
  const remove = () => confirm({
    title: `Remove ${agent.id}`,
    text: "Its registration and its token end and it leaves every room. Its messages stay. The id is free again: somebody else may register it.",
    label: "remove",
    act: async () => void await removeAgent(agent.id)
  });
  return html`<${Panel} title="actions">
    <div class="actions">
      ${isMuted(agent) ? html`<${Guarded} why=${why} onClick=${() => unmute(agent)}>unmute…<//>` : html`<${Guarded} why=${why} onClick=${() => mute(agent)}>mute…<//>`}
      <${Guarded} why=${why} onClick=${() => resetToken(agent.id)}>new token…<//>
      <${Guarded} why=${why} onClick=${() => revokeToken(agent.id)}>revoke token…<//>
      <${Guarded} why=${why} className="danger" onClick=${remove}>remove…<//>
    </div>
    <${Note} why=${why} />
  <//>`;
}

// views/admin-tokens.js
var SHOWN2 = 300;
function TokensPart({ why }) {
  useSlices("settings");
  return html`<${FileTokens} why=${why} /><${AgentTokens} why=${why} />`;
}
function FileTokens({ why }) {
  const { answer, error, again } = useAnswer(() => isAdmin() ? getTokens() : Promise.resolve([]), []);
  const tokens = answer ?? [];
  return html`<${Panel} title="tokens of the configuration file" count=${tokens.length} lead="They are changed in the file; reading it again takes them over.">
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${answer && !error && tokens.length === 0 && html`<${Empty}>${why || "The file has no tokens."}<//>`}
    ${tokens.length > 0 && html`<div class="table" tabindex="0" role="region" aria-label="Tokens of the file"><table class="stacked">
      <thead><tr><th scope="col">token</th><th scope="col">may</th><th scope="col">as</th><th scope="col">network</th><th scope="col">until</th></tr></thead>
      <tbody>${tokens.slice(0, SHOWN2).map(({ id, scopes, agents, network, expires_at, is_expired, is_rotating }) => html`<tr key=${id}>
        <th scope="row"><code>${id}</code> ${is_rotating && html`<span class="chip pending">two values</span>`}</th>
        <td data-label="May"><span class="chips">${(scopes ?? []).map((scope) => html`<span class="chip">${scope}</span>`)}</span></td>
        <td data-label="As">${(agents ?? []).join(", ") || html`<span class="faint">an operator</span>`}</td>
        <td data-label="Network">${network || html`<span class="faint">this one</span>`}</td>
        <td data-label="Until">${is_expired && html`<span class="chip expired">over</span> `}${expires_at ? html`<${Time} at=${expires_at} />` : html`<span class="faint">no end</span>`}</td>
      </tr>`)}</tbody>
    </table></div>`}
  <//>`;
}
function AgentTokens({ why }) {
  const { answer, error, again } = useAnswer(() => isAdmin() ? getCredentials() : Promise.resolve([]), []);
  const tokens = answer ?? [];
  return html`<${Panel} title="tokens of agents" count=${tokens.length} actions=${html`<button type="button" onClick=${again}>refresh</button>`}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${answer?.length === 0 && html`<${Empty}>${why || "No agent is registered."}<//>`}
    ${tokens.length > 0 && html`<div class="table" tabindex="0" role="region" aria-label="Tokens of agents"><table class="stacked">
      <thead><tr><th scope="col">agent</th><th scope="col">held by</th><th scope="col">since</th><th scope="col">actions</th></tr></thead>
      <tbody>${tokens.slice(0, SHOWN2).map(({ agent_id, holder, fingerprint, token_id, updated_at }) => html`<tr key=${agent_id}>
        <th scope="row"><a href=${path("agent", agent_id)}>${agent_id}</a></th>
        <td data-label="Held by">${holder.replace("_", " ")} <code>${token_id || fingerprint}</code></td>
        <td data-label="Since"><${Time} at=${updated_at} /></td>
        <td data-label="Actions"><span class="actions">
          <${Guarded} why=${why} aria-label="New token for ${agent_id}" onClick=${() => resetToken(agent_id)}>new…<//>
          <${Guarded} why=${why} className="danger" aria-label="Revoke the token of ${agent_id}" onClick=${() => revokeToken(agent_id)}>revoke…<//>
        </span></td>
      </tr>`)}</tbody>
    </table></div>`}
    ${tokens.length > SHOWN2 && html`<${Empty}>${tokens.length - SHOWN2} more: each is in the view of its agent.<//>`}
  <//>`;
}

// views/admin.js
var SHOWN3 = 300;
var PARTS = { rooms: RoomsPart, tokens: TokensPart, configuration: ConfigurationPart };
function AdminView() {
  useSlices("session", "route");
  const why = whyNotAdmin();
  const named = route.query.get("part") ?? "rooms";
  const part2 = named in PARTS ? named : "rooms";
  return html`
    <nav class="parts" aria-label="Administration">${Object.keys(PARTS).map((name) => html`<a
      href=${path("admin", "", name === "rooms" ? {} : { part: name })} aria-current=${name === part2 ? "page" : void 0}>${name}</a>`)}</nav>
    <${Note} why=${why} />
    <${PARTS[part2]} why=${why} />`;
}
function RoomsPart({ why }) {
  useSlices("rooms", "agents", "route");
  const [filter, setFilter] = d2("");
  const wanted = filter.trim().toLowerCase();
  const chosen = route.query.get("room") ?? "";
  const selected = model.rooms.get(chosen);
  const rooms = [...model.rooms.values()].filter(({ id, name }) => `${id} ${name ?? ""}`.toLowerCase().includes(wanted)).sort((a3, b) => a3.id.localeCompare(b.id));
  const field = html`<input type="search" aria-label="Filter rooms" placeholder="Filter" value=${filter} onInput=${(input) => setFilter(input.target.value)} />`;
  return html`
    ${selected && html`<${Room} key=${selected.id} room=${selected} why=${why} />`}
    <${Panel} title="rooms" count=${rooms.length} actions=${field}>
      ${rooms.length === 0 && html`<${Empty}>${wanted ? "Nothing fits." : "No rooms yet. The form below makes the first."}<//>`}
      ${rooms.length > 0 && html`<div class="table" tabindex="0" role="region" aria-label="Rooms"><table class="stacked">
        <thead><tr><th scope="col">room</th><th scope="col">read by</th><th scope="col">written by</th><th scope="col">members</th></tr></thead>
        <tbody>${rooms.slice(0, SHOWN3).map((room) => html`<tr key=${room.id} class=${room.id === chosen ? "is-here" : ""}>
          <th scope="row"><a href=${path("admin", "", { room: room.id })}><bdi>${room.name || room.id}</bdi></a> <small class="faint"><code>${room.id}</code></small></th>
          <td data-label="Read by"><span class="chip">${room.visibility}</span></td>
          <td data-label="Written by">${room.write_policy.replace("_", " ")}</td>
          <td data-label="Members">${counted((room.members ?? []).length, "member")}</td>
        </tr>`)}</tbody>
      </table></div>`}
      ${rooms.length > SHOWN3 && html`<${Empty}>${rooms.length - SHOWN3} more: use the filter.<//>`}
    <//>
    <${NewRoom} why=${why} />
    <${RemovedRooms} why=${why} />`;
}
function NewRoom({ why }) {
  const [problem, setProblem] = d2("");
  const create = async (submit) => {
    submit.preventDefault();
    if (why) return;
    const form = submit.target;
    const fields = Object.fromEntries(new FormData(form));
    try {
      const room = await createRoom({ ...fields, members: namesOf(fields.members) });
      model.rooms.set(room.id, { ...model.rooms.get(room.id), ...room });
      store.changed("rooms");
      form.reset();
      setProblem("");
      navigate(path("admin", "", { room: room.id }));
    } catch (error) {
      setProblem(error.message);
    }
  };
  return html`<${Panel} title="new room"><form class="fields" onSubmit=${create}>
    <label>id <input name="id" required maxlength="128" autocomplete="off" disabled=${why} /></label>
    <label>name <input name="name" maxlength="200" autocomplete="off" disabled=${why} /></label>
    <label>members, by commas <input name="members" autocomplete="off" disabled=${why} /></label>
    <${PolicyFields} why=${why} />
    <button class="primary" disabled=${why}>create</button>
    ${problem && html`<${Problem} error=${problem} />`}
  </form><//>`;
}

// views/approvals.js
var SHOWN_DECIDED = 100;
function ApprovalsView() {
  useSlices("approvals", "settings", "agents");
  if (!mayObserve()) return html`<${Panel} title="approvals"><${Note} why="To see approvals takes a token with observe or admin." /><//>`;
  const all = [...model.approvals.values()].sort((a3, b) => b.requested_at.localeCompare(a3.requested_at));
  const waiting = all.filter(({ state }) => state === "pending");
  const decided = all.filter(({ state }) => state !== "pending").slice(0, SHOWN_DECIDED);
  return html`<${Panel} title="waiting" count=${waiting.length}>
      ${waiting.length === 0 && html`<${Empty}>Nothing waits for you. Agents whose node says <code>reply: manual</code> ask here.<//>`}
      <ul class="cards">${waiting.map((approval) => html`<${Waiting} key=${approval.id} approval=${approval} />`)}</ul>
    <//>
    <${Panel} title="decided" count=${decided.length}>
      ${decided.length === 0 && html`<${Empty}>Nothing was decided yet.<//>`}
      <ul class="log">${decided.map((approval) => html`<li key=${approval.id}>
        <${Time} at=${approval.decided_at || approval.expires_at} /> <span class="chip state ${approval.state}">${approval.state}</span>
        <${AgentLink} id=${approval.agent_id} /> <${TargetLink} target=${approval.target} message=${approval.message_id} />
        ${approval.decided_by && html` by ${approval.decided_by}`} ${approval.note && html`<q>${approval.note}</q>`}
      </li>`)}</ul>
    <//>`;
}
function decide(approval, decision) {
  confirm({
    title: `${decision === "approve" ? "Approve" : "Deny"}: wake ${approval.agent_id}`,
    text: decision === "approve" ? "The agent will read the message and answer." : "The agent will not be woken by this message.",
    label: decision,
    danger: decision === "deny",
    fields: [{ name: "note", label: "note (the agent sees it too)" }],
    act: async ({ note }) => {
      const decided = await decideApproval(approval.id, decision, note);
      model.approvals.set(decided.id, decided);
      store.changed("approvals");
    }
  });
}
function Waiting({ approval }) {
  const why = whyNotAdmin();
  return html`<li class="card">
    <p><${AgentLink} id=${approval.agent_id} /> would be woken by <${AgentLink} id=${approval.sender} /> in
      <${TargetLink} target=${approval.target} message=${approval.message_id} /></p>
    <dl class="facts">
      <dt>why</dt><dd>${approval.reason || "—"}</dd>
      <dt>asked</dt><dd><${Time} at=${approval.requested_at} /></dd>
      <dt>until</dt><dd><${Time} at=${approval.expires_at} /></dd>
    </dl>
    <div class="actions">
      <${Guarded} why=${why} className="primary" onClick=${() => decide(approval, "approve")}>approve…<//>
      <${Guarded} why=${why} className="danger" onClick=${() => decide(approval, "deny")}>deny…<//>
    </div>
    <${Note} why=${why} />
  </li>`;
}

// parts/virtual-list.js
var GUESSED_ROW_PX = 44;
var BEYOND_PX = 600;
var EDGE_PX = 200;
var END_PX = 32;
var MOST_PASSES = 6;
var MOST_FORGOTTEN = 2e3;
var VirtualList = class extends x {
  heights = /* @__PURE__ */ new Map();
  following = true;
  anchor = null;
  shown = "";
  lastTop = 0;
  passes = 0;
  seen = { width: 0, height: 0, sum: 0 };
  componentDidMount() {
    if (this.props.handle) this.props.handle.current = this;
    this.observer = new ResizeObserver(() => this.#resized());
    this.observer.observe(this.scroller);
    this.observer.observe(this.list);
    this.#showTarget();
    this.settle();
  }
  componentWillUnmount() {
    this.observer.disconnect();
  }
  componentDidUpdate() {
    this.#forget();
    this.#showTarget();
    this.settle();
  }
  /** The heights of rows that are no more: a reader of a long list sees many. */
  #forget() {
    const { items } = this.props;
    if (this.heights.size < 2 * items.length + MOST_FORGOTTEN) return;
    const keys = new Set(items.map(({ key }) => key));
    for (const key of this.heights.keys()) if (!keys.has(key)) this.heights.delete(key);
  }
  /** Bring the row that is asked for into sight: once, as soon as it is among the items. */
  #showTarget() {
    const { target, items } = this.props;
    if (target === this.shown) return;
    if (target && !items.some((item) => item.key === target)) return;
    this.shown = target;
    if (!target) return;
    this.anchor = { key: target, offset: -Math.round(this.scroller.clientHeight / 3) };
    this.#follow(false);
    this.setState({});
  }
  scrollToEnd() {
    this.#follow(true);
    this.settle();
  }
  #follow(following) {
    if (this.following === following) return;
    this.following = following;
    this.props.onFollow?.(following);
  }
  #layOut() {
    const { items } = this.props;
    const tops = new Float64Array(items.length + 1);
    for (let i3 = 0; i3 < items.length; i3 += 1) tops[i3 + 1] = tops[i3] + (this.heights.get(items[i3].key) ?? GUESSED_ROW_PX);
    return tops;
  }
  /** Put what is drawn where it belongs, measure what is new, and draw again if something in sight is missing. */
  settle() {
    if (!this.scroller) return;
    let tops = this.#layOut();
    this.#pad(tops);
    if (this.#measure((key) => !this.heights.has(key))) this.#pad(tops = this.#layOut());
    this.#place(tops);
    if (this.#isOutside(tops) && this.passes < MOST_PASSES) {
      this.passes += 1;
      this.setState({});
      return;
    }
    this.passes = 0;
    this.#edges();
  }
  /** Something is not as high or as wide as it was; mostly that is what has just been put in its place. */
  #resized() {
    const { clientWidth, clientHeight } = this.scroller;
    const isKnown = clientWidth === this.seen.width && clientHeight === this.seen.height;
    if (isKnown && Math.abs(this.list.getBoundingClientRect().height - this.seen.sum) < 1) return;
    this.#measure(() => true);
    this.seen.width = clientWidth;
    this.seen.height = clientHeight;
    this.settle();
  }
  /** The heights of drawn rows; returns whether one is not what was thought. */
  #measure(isWanted) {
    let isChanged = false;
    for (const row2 of this.list.children) {
      const { key } = row2.dataset;
      if (!isWanted(key)) continue;
      const { height } = row2.getBoundingClientRect();
      if (Math.abs((this.heights.get(key) ?? GUESSED_ROW_PX) - height) >= 0.5) isChanged = true;
      this.heights.set(key, height);
    }
    return isChanged;
  }
  /** The room of the rows that are not drawn. */
  #pad(tops) {
    const above = `${tops[this.first]}px`;
    const below = `${tops.at(-1) - tops[this.last]}px`;
    if (this.list.style.paddingTop !== above) this.list.style.paddingTop = above;
    if (this.list.style.paddingBottom !== below) this.list.style.paddingBottom = below;
    this.seen.sum = tops.at(-1);
  }
  #place(tops) {
    if (this.following) this.scroller.scrollTop = this.scroller.scrollHeight;
    else if (this.anchor) {
      const index = this.props.items.findIndex((item) => item.key === this.anchor.key);
      const top = index < 0 ? this.scroller.scrollTop : tops[index] + this.anchor.offset;
      if (Math.abs(this.scroller.scrollTop - top) > 1) this.scroller.scrollTop = top;
    }
    this.lastTop = this.scroller.scrollTop;
  }
  #isOutside(tops) {
    const { scrollTop, clientHeight } = this.scroller;
    const missesAbove = this.first > 0 && tops[this.first] > scrollTop;
    return missesAbove || this.last < this.props.items.length && tops[this.last] < scrollTop + clientHeight;
  }
  #edges() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    if (this.props.items.length === 0) return;
    if (scrollTop < EDGE_PX) this.props.onEdge?.("older");
    if (scrollHeight - scrollTop - clientHeight < EDGE_PX) this.props.onEdge?.("newer");
  }
  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroller;
    const isAtEnd = scrollHeight - scrollTop - clientHeight < END_PX;
    if (isAtEnd && (this.props.atNewest ?? true)) this.#follow(true);
    else if (scrollTop < this.lastTop - 1) this.#follow(false);
    this.lastTop = scrollTop;
    if (!this.following) {
      const tops = this.#layOut();
      const { items } = this.props;
      let index = indexAt(tops, scrollTop);
      while (items[index]?.moves) index += 1;
      const item = items[index];
      this.anchor = item && { key: item.key, offset: scrollTop - tops[index] };
    }
    this.setState({});
  }
  render({ items, row: row2, label }) {
    const tops = this.#layOut();
    const view = this.scroller?.clientHeight ?? 800;
    let top = this.scroller?.scrollTop ?? Number.MAX_SAFE_INTEGER;
    if (this.following) top = Math.max(0, tops.at(-1) - view);
    else if (this.anchor) {
      const index = items.findIndex((item) => item.key === this.anchor.key);
      if (index >= 0) top = tops[index] + this.anchor.offset;
    }
    this.first = items.length === 0 ? 0 : indexAt(tops, top - BEYOND_PX);
    this.last = items.length === 0 ? 0 : Math.min(items.length, indexAt(tops, top + view + BEYOND_PX) + 1);
    const rows = items.slice(this.first, this.last).map(
      (item, at) => html`<li key=${item.key} data-key=${item.key} aria-setsize=${items.length} aria-posinset=${this.first + at + 1}>
        ${row2(item)}
      </li>`
    );
    return html`<div
      class="scroller" tabindex="0" role="region" aria-label=${label}
      ref=${(element) => {
      this.scroller = element;
    }} onScroll=${() => this.#scrolled()}
    >
      <ol class="rows" ref=${(element) => {
      this.list = element;
    }}>${rows}</ol>
    </div>`;
  }
};
function indexAt(tops, height) {
  let low = 0;
  let high = tops.length - 2;
  while (low < high) {
    const middle = low + high + 1 >> 1;
    if (tops[middle] <= height) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}

// state/targets.js
function targetOf({ kind, id }) {
  if (kind === "room") return { kind, room_id: id };
  if (kind === "thread") {
    const known = model.threads.get(id);
    const parent = known ? known.parent_message_id : route.query.get("parent");
    const roomId = known?.room_id ?? route.query.get("room");
    return { kind, room_id: roomId, thread_id: id, ...parent && { parent_message_id: parent } };
  }
  const others = (route.query.get("with") ?? "").split(",").filter(Boolean);
  const participants = model.dms.get(id)?.participant_ids ?? [humanId(model.settings.name), ...others];
  return { kind, dm_id: id, participant_ids: participants };
}

// views/composer.js
var MENU_ITEMS = 6;
var MAX_ROWS = 10;
function mentionBefore(text, at) {
  return /(?:^|[\s([{])@([A-Za-z0-9._:-]{0,64})$/.exec(text.slice(0, at))?.[1] ?? null;
}
function spelling(agent) {
  return agent.network_id && agent.network_id !== model.network.id ? `${agent.network_id}:${agent.id}` : agent.id;
}
function Composer({ where }) {
  useSlices("session", "network", "rooms", "dms", "agents", "settings", "threads");
  const key = keyOf(where);
  const [text, setText] = d2(() => draftOf(key));
  const [menu, setMenu] = d2({ query: null, chosen: 0 });
  const box = T2(null);
  const cursor = T2(null);
  const isNew = where.kind === "thread" && !model.threads.has(where.id) && !route.query.has("room");
  const why = whyReadOnly(where) || (isNew ? "Read only: there is no such thread here." : "");
  A2(() => keepDraft(key, text), [key, text]);
  F2(() => {
    if (cursor.current === null || !box.current) return;
    box.current.setSelectionRange(cursor.current, cursor.current);
    cursor.current = null;
  }, [text]);
  const found = w2(() => {
    if (menu.query === null) return [];
    const query = menu.query.toLowerCase();
    const fits2 = (agent) => `${spelling(agent)} ${agent.name ?? ""}`.toLowerCase().includes(query);
    return mentionable(where).filter(fits2).slice(0, MENU_ITEMS);
  }, [menu.query, key, model.agents.size]);
  if (why) return html`<p class="composer closed read-only" role="note">${why}</p>`;
  const look = (area) => {
    const query = area.selectionStart === area.selectionEnd ? mentionBefore(area.value, area.selectionStart) : null;
    setMenu((before) => before.query === query ? before : { query, chosen: 0 });
  };
  const choose = (agent) => {
    const end = box.current.selectionStart;
    const begin = end - menu.query.length;
    const inserted = `${spelling(agent)} `;
    cursor.current = begin + inserted.length;
    setText(text.slice(0, begin) + inserted + text.slice(end));
    setMenu({ query: null, chosen: 0 });
    box.current.focus();
  };
  const submit = () => {
    const said2 = text.trim();
    if (!said2) return;
    send(where, targetOf(where), said2);
    setText("");
  };
  const pressed = (press) => {
    if (press.isComposing) return;
    if (found.length > 0) {
      const move = { ArrowDown: 1, ArrowUp: -1 }[press.key];
      if (move) setMenu({ ...menu, chosen: (menu.chosen + move + found.length) % found.length });
      else if (press.key === "Enter" || press.key === "Tab") choose(found[menu.chosen]);
      else if (press.key === "Escape") setMenu({ query: null, chosen: 0 });
      else return;
      press.preventDefault();
      press.stopPropagation();
    } else if (press.key === "Enter" && !press.shiftKey && !press.ctrlKey && !press.metaKey) {
      press.preventDefault();
      submit();
    }
  };
  const isOpen = found.length > 0;
  return html`<form class="composer" onSubmit=${(event) => {
    event.preventDefault();
    submit();
  }}>
    ${isOpen && html`<ul class="mentions" role="listbox" id="mentions" aria-label="Agents to mention">
      ${found.map((agent, index) => html`<li role="option" id="mention-${index}" key=${agent.fqid || agent.id}
        aria-selected=${index === menu.chosen ? "true" : "false"}
        onMouseDown=${(down) => {
    down.preventDefault();
    choose(agent);
  }}>
        <span>@${spelling(agent)}</span> <bdi class="faint">${agent.name}</bdi> <span class="faint">${agent.connected ? "online" : "offline"}</span>
      </li>`)}
    </ul>`}
    <textarea id="composer-text" ref=${box} value=${text} rows=${Math.min(MAX_ROWS, text.split("\n").length)}
      role="combobox" aria-label="Message as ${model.settings.name}" aria-expanded=${isOpen ? "true" : "false"} aria-controls="mentions"
      aria-autocomplete="list" aria-activedescendant=${isOpen ? `mention-${menu.chosen}` : void 0}
      placeholder="Message as ${model.settings.name}"
      onInput=${(input) => {
    setText(input.target.value);
    look(input.target);
  }}
      onClick=${(click) => look(click.target)} onBlur=${() => setMenu({ query: null, chosen: 0 })} onKeyDown=${pressed}></textarea>
    <button class="primary" disabled=${!text.trim()}><${Icon} name="send" /><span>send</span></button>
  </form>`;
}

// views/files.js
function Files({ where }) {
  useSlices("settings");
  const { items, hasMore, isLoading, error, more } = useFiles(where);
  return html`<aside class="aside" aria-label="Files">
    <header class="panel-head"><h2>files</h2>
      <a class="tool" href=${withQuery({ show: "" })} aria-label="Close the files"><${Icon} name="close" /></a></header>
    <ul class="cards">${items.map((artifact) => html`<li class="card file" key=${artifact.id}>
      <p><span class="kind">${artifact.kind}</span> ${outwardLink(artifact.url ?? "", artifact.filename || artifact.url || artifact.media_type || "without a name")}</p>
      <p class="faint">${artifact.media_type && html`<span>${artifact.media_type}</span>`} <${Time} at=${artifact.created_at} />
        <a href=${linkTo(artifact)}>its message</a></p>
    </li>`)}</ul>
    ${error && html`<${Problem} error=${error} retry=${more} />`}
    ${isLoading && html`<p class="empty" role="status">loading…</p>`}
    ${!isLoading && !error && items.length === 0 && html`<${Empty}>Nobody has shared a file, an image, a link or data here yet.<//>`}
    ${hasMore && !isLoading && html`<button type="button" onClick=${more}>older ones</button>`}
  </aside>`;
}
function linkTo({ target, message_id }) {
  const { kind, id } = conversationOf(target);
  return path(kind, id, { message: message_id, show: "files" });
}
function useFiles(where) {
  const [state, setState] = d2({ items: [], hasMore: true, isLoading: false, error: "" });
  const more = async () => {
    setState((before) => ({ ...before, isLoading: true, error: "" }));
    try {
      const { artifacts, page } = await getArtifacts(where, { before: state.items.at(-1)?.id });
      setState((before) => ({ items: [...before.items, ...artifacts.reverse()], hasMore: page.has_more, isLoading: false, error: "" }));
    } catch (error) {
      const isNew = error.status === 404;
      setState((before) => ({ ...before, hasMore: false, isLoading: false, error: isNew ? "" : error.message }));
    }
  };
  A2(() => void more(), [keyOf(where)]);
  return { ...state, more };
}

// views/head.js
var SIGNS = { room: "#", dm: "@", thread: "↳" };
var MEMBERS_SHOWN = 100;
function Head({ where: { kind, id } }) {
  const room = model.rooms.get(kind === "thread" ? model.threads.get(id)?.room_id ?? route.query.get("room") : id);
  const thread = kind === "thread" && model.threads.get(id);
  const parent = thread?.parent_message_id || route.query.get("parent");
  const showsFiles = route.query.get("show") === "files";
  return html`<header class="head">
    <a class="back" href=${kind === "thread" && room ? path("room", room.id) : path("home")} aria-label=${kind === "thread" && room ? "The room" : "All conversations"}><${Icon} name="back" /></a>
    <div class="what">
      <h2><span class="sign" aria-hidden="true">${SIGNS[kind]}</span><bdi>${titleOf({ kind, id })}</bdi></h2>
      <p class="faint">
        ${kind === "room" && room && (room.visibility === "public" ? "public" : "private")}
        ${kind === "thread" && room && html`<span>in <a href=${path("room", room.id, parent ? { message: parent } : {})}># ${room.name || room.id}</a></span>`}
        ${kind === "dm" && html`<span>${counted(model.dms.get(id)?.message_count ?? 0, "message")}</span>`}
        ${thread && html` <span>${counted(thread.message_count, "message")}</span>`}
      </p>
    </div>
    <div class="tools">
      <${JumpToDate} />
      <a class="tool" href=${path("search", "", { [kind]: id })} title="Search here"><${Icon} name="search" /><span class="visually-hidden">search here</span></a>
      <a class="tool" href=${withQuery({ show: showsFiles ? "" : "files" })} aria-current=${showsFiles ? "true" : void 0} title="Files"><${Icon} name="files" /><span class="visually-hidden">files</span></a>
      ${kind === "room" && room && html`<${Facts} room=${room} />`}
    </div>
  </header>`;
}
function JumpToDate() {
  const [isOpen, setOpen] = d2(false);
  const chosen = (submit) => {
    submit.preventDefault();
    const day = submit.target.elements.day.value;
    if (!day) return;
    const at2 = /* @__PURE__ */ new Date(`${day}T00:00:00${model.settings.utc ? "Z" : ""}`);
    setOpen(false);
    if (!Number.isNaN(at2.getTime())) navigate(path(route.view, route.id, { at: at2.toISOString() }));
  };
  const at = route.query.get("at");
  return html`<details class="menu" open=${isOpen} onToggle=${(toggle) => setOpen(toggle.target.open)}>
    <summary class="tool" title="Go to a day"><${Icon} name="calendar" /><span class="visually-hidden">go to a day</span></summary>
    <form class="menu-body" onSubmit=${chosen}>
      <label>day <input type="date" name="day" required max=${dayOf(/* @__PURE__ */ new Date(), model.settings.utc)} value=${at ? dayOf(at, model.settings.utc) : ""} /></label>
      <button class="primary">go there</button>
    </form>
  </details>`;
}
function Facts({ room }) {
  const members = room.members ?? [];
  return html`<details class="menu facts">
    <summary class="tool"><${Icon} name="members" /><span>${counted(members.length, "member")}</span></summary>
    <div class="menu-body">
      <dl class="facts">
        <dt>id</dt><dd><code>${room.id}</code></dd>
        <dt>read by</dt><dd>${room.visibility === "public" ? "everybody" : "members and operators"}</dd>
        <dt>written by</dt><dd>${room.write_policy.replace("_", " ")}</dd>
      </dl>
      <ul class="people">${members.slice(0, MEMBERS_SHOWN).map((member) => {
    const agent = findAgent(member);
    return html`<li key=${member}><${AgentLink} id=${member} /> ${agent && html`<${Presence} agent=${agent} />`}</li>`;
  })}</ul>
      ${members.length > MEMBERS_SHOWN && html`<p class="faint">and ${members.length - MEMBERS_SHOWN} more</p>`}
      ${members.length === 0 && html`<p class="faint">Nobody is a member.</p>`}
      <a href=${path("admin", "", { room: room.id })}>administer</a>
    </div>
  </details>`;
}

// lib/markdown.js
var FENCE = /^\s{0,3}(```+|~~~+)\s*([A-Za-z0-9_+.#-]{0,30})/;
var HEADING = /^(#{1,4})\s+(\S.*)$/;
var ITEM = /^\s{0,6}([-*+]|\d{1,4}[.)])\s+(.*)$/;
var QUOTE = /^\s{0,3}>\s?(.*)$/;
var INLINE = new RegExp(
  [
    "(?<code>`[^`\\n]{1,2000}`)",
    "(?<strong>\\*\\*(?=\\S)[^*\\n]{1,1000}\\*\\*)",
    "(?<em>(?<![\\w*])\\*(?=[^\\s*])[^*\\n]{1,1000}\\*(?![\\w*])|(?<!\\w)_(?=[^\\s_])[^_\\n]{1,1000}_(?!\\w))",
    "(?<strike>~~(?=\\S)[^~\\n]{1,1000}~~)",
    "(?<link>\\[[^\\[\\]\\n]{1,500}\\]\\(https?:\\/\\/[^\\s()<>]{1,2000}\\))",
    "(?<url>https?:\\/\\/[^\\s<>\"'`]{1,2000})",
    "(?<mention><@molt:\\/\\/[^\\s>]{1,300}>|(?<![\\w@])@[A-Za-z0-9](?:[A-Za-z0-9._:-]{0,200}[A-Za-z0-9_])?)"
  ].join("|"),
  "g"
);
var DEEPEST = 4;
function markdown(text, isMention) {
  const lines = text.split("\n");
  const blocks = [];
  let at = 0;
  const taken = (pattern) => {
    const found = [];
    for (; at < lines.length && pattern.test(lines[at]); at += 1) found.push(pattern.exec(lines[at]));
    return found;
  };
  while (at < lines.length) {
    const line = lines[at];
    const fence = FENCE.exec(line);
    if (fence) {
      const end = lines.findIndex((later, index) => index > at && later.trim() === fence[1]);
      const code = lines.slice(at + 1, end < 0 ? lines.length : end).join("\n");
      blocks.push(html`<pre class="code" tabindex="0" data-language=${fence[2]}><code>${code}</code></pre>`);
      at = end < 0 ? lines.length : end + 1;
    } else if (HEADING.test(line)) {
      blocks.push(html`<p class="heading">${inline(HEADING.exec(line)[2], isMention)}</p>`);
      at += 1;
    } else if (QUOTE.test(line)) {
      blocks.push(html`<blockquote>${withBreaks(taken(QUOTE).map((found) => found[1]), isMention)}</blockquote>`);
    } else if (ITEM.test(line)) {
      const items = taken(ITEM);
      const rows = items.map((found) => html`<li>${inline(found[2], isMention)}</li>`);
      const start2 = Number.parseInt(items[0][1], 10);
      blocks.push(Number.isNaN(start2) ? html`<ul>${rows}</ul>` : html`<ol start=${start2}>${rows}</ol>`);
    } else if (line.trim() === "") {
      at += 1;
    } else {
      const from2 = at;
      do
        at += 1;
      while (at < lines.length && lines[at].trim() && ![FENCE, HEADING, ITEM, QUOTE].some((begins) => begins.test(lines[at])));
      blocks.push(html`<p>${withBreaks(lines.slice(from2, at), isMention)}</p>`);
    }
  }
  return blocks;
}
function withBreaks(lines, isMention) {
  return lines.flatMap((line, index) => [index > 0 && html`<br />`, ...inline(line, isMention)]);
}
function inline(text, isMention, depth = 0) {
  if (depth >= DEEPEST) return [text];
  const nodes = [];
  let done = 0;
  for (const { 0: found, index, groups } of text.matchAll(INLINE)) {
    const node = nodeOf(found, groups, isMention, depth);
    if (node === null) continue;
    nodes.push(text.slice(done, index), node);
    done = index + found.length;
  }
  return [...nodes, text.slice(done)];
}
function nodeOf(found, groups, isMention, depth) {
  const within = (marks) => inline(found.slice(marks, -marks), isMention, depth + 1);
  if (groups.code) return html`<code>${found.slice(1, -1)}</code>`;
  if (groups.strong) return html`<strong>${within(2)}</strong>`;
  if (groups.em) return html`<em>${within(1)}</em>`;
  if (groups.strike) return html`<s>${within(2)}</s>`;
  if (groups.link) {
    const [, label, address] = /^\[(.*)\]\((.*)\)$/.exec(found);
    return html`${outwardLink(address, label)}<span class="faint"> (${hostOf(address)})</span>`;
  }
  if (groups.url) {
    const address = found.replace(/[.,;:!?)\]]+$/, "");
    return html`${outwardLink(address)}${found.slice(address.length)}`;
  }
  return isMention(found) ? html`<span class="mention">${found}</span>` : null;
}
function hostOf(address) {
  return /^https?:\/\/(?:[^/@]*@)?([^/?#]*)/i.exec(address)[1];
}
function spellingsOf(fqid) {
  const [, network, agent] = /^molt:\/\/([^/]+)\/agents\/(.+)$/.exec(fqid) ?? [];
  return agent ? [`@${agent}`, `@${network}:${agent}`, `<@${fqid}>`] : [];
}

// views/message.js
var MessageRow = class extends x {
  shouldComponentUpdate(next) {
    return Object.keys(next).some((name) => name !== "where" && next[name] !== this.props[name]);
  }
  render({ message, goesOn, utc, where, wakes, thread, isWanted }) {
    const classes = ["message", goesOn && "goes-on", isWanted && "wanted", isForMe(message) && "for-me"].filter(Boolean).join(" ");
    const time = html`<a class="at" href=${path(where.kind, where.id, { message: message.id })} title=${fullTime(message.created_at, utc)}>
      <time datetime=${message.created_at}>${shortClock(message.created_at, utc)}</time></a>`;
    return html`<article class=${classes} aria-label="Message of ${message.from.name || message.from.id}">
      <div class="gutter">${goesOn ? time : html`<${Avatar} actor=${message.from} />`}</div>
      <div class="said">
        ${!goesOn && html`<header><${Actor} actor=${message.from} /> ${time}</header>`}
        <div class="body">${message.parts.map((part2) => partOf(part2, message))}</div>
        <footer>
          ${thread && html`<a class="replies" href=${path("thread", thread.id)}><${Icon} name="thread" />${counted(thread.message_count, "reply", "replies")}</a>`}
          <${Deliveries} message=${message} wakes=${wakes} />
        </footer>
      </div>
      ${!thread && where.kind === "room" && html`<a class="quiet tool" href=${newThread(where.id, message.id)} title="Begin a thread"><${Icon} name="thread" /><span class="visually-hidden">thread</span></a>`}
    </article>`;
  }
};
function newThread(room, parent) {
  return path("thread", `thread-${parent}`.slice(0, 128), { room, parent });
}
function partOf(part2, message) {
  if (part2.kind === "text" && !part2.url) {
    const spellings = /* @__PURE__ */ new Set([`@${sender().id}`, ...(message.mentions ?? []).flatMap(spellingsOf)]);
    return html`<div class="text">${markdown(part2.text ?? "", (found) => spellings.has(found))}</div>`;
  }
  if (part2.kind === "data") {
    return html`<details><summary>data</summary><pre tabindex="0">${JSON.stringify(part2.data ?? null, null, 2)}</pre></details>`;
  }
  const named = part2.filename || part2.text || part2.url || part2.media_type || "nothing";
  return html`<div class="part">
    ${part2.kind !== "url" && html`<span class="kind">${part2.kind}</span>`} ${outwardLink(part2.url ?? "", named)}
    ${part2.media_type && html` <span class="faint">${part2.media_type}</span>`}
  </div>`;
}
var WORDS = { delivered: "woken", failed: "failed", unknown: "not known", pending: "waiting" };
function Deliveries({ message, wakes = /* @__PURE__ */ new Map() }) {
  const [problem, setProblem] = d2("");
  if (!mayObserve()) return null;
  const expected = (message.mentions ?? []).filter((fqid) => findAgent(fqid));
  const agents = [.../* @__PURE__ */ new Set([...expected, ...wakes.keys()])];
  if (agents.length === 0) return null;
  const failed2 = [...wakes.values()].filter(({ state }) => state === "failed").length;
  const delivered = [...wakes.values()].filter(({ state }) => state === "delivered").length;
  const summary = failed2 > 0 ? `${delivered} woken, ${failed2} failed` : `${delivered} of ${agents.length} woken`;
  const learn = () => Promise.all(expected.map((fqid) => learnWakes(fqid))).then(() => setProblem(""), (error) => setProblem(error.message));
  return html`<details class="deliveries ${failed2 > 0 ? "failed" : ""}" onToggle=${(toggle) => toggle.target.open && wakes.size < agents.length && learn()}>
    <summary>${summary}</summary>
    <ul>${agents.map((fqid) => {
    const { state, reason = "", error = "" } = wakes.get(fqid) ?? { state: "unknown" };
    return html`<li><${AgentLink} id=${fqid} /> <span class=${`wake ${state}`}>${WORDS[state]}</span> <span class="faint">${[reason, error].filter(Boolean).join(" · ")}</span></li>`;
  })}</ul>
    ${problem && html`<p class="problem">${problem}</p>`}
  </details>`;
}
async function learnWakes(fqid) {
  await whileHolding(async () => {
    const { agent_id, wakes, pending } = await getWakes(fqid);
    for (const { message_id, reason, since } of pending) {
      woken({ agent: { fqid, agent_id, message_id, reason }, created_at: since }, "pending");
    }
    for (const event of wakes) woken(event, event.type === "agent.wake.failed" ? "failed" : "delivered");
  });
}
function PendingRow({ conversation: conversation2, attempt, state }) {
  const { message, error } = attempt;
  return html`<article class="message pending ${state}" aria-label="Message being sent">
    <div class="gutter"><${Avatar} actor=${message.from} /></div>
    <div class="said">
      <header><${Actor} actor=${message.from} /> <span class="faint">${state === "failed" ? "not sent" : "sending…"}</span></header>
      <div class="body"><div class="text">${message.parts[0].text}</div></div>
      ${state === "failed" && html`<footer role="alert">
        <span class="problem">Not sent: ${error}</span>
        <button type="button" onClick=${() => retry(conversation2, message.id)}>try again</button>
        <button type="button" onClick=${() => discard(conversation2, message.id)}>discard</button>
      </footer>`}
    </div>
  </article>`;
}

// views/conversation.js
var days = /* @__PURE__ */ new WeakMap();
function dayOfMessage(message, utc) {
  const known = days.get(message);
  if (known?.utc === utc) return known.day;
  const day = dayOf(message.created_at, utc);
  days.set(message, { utc, day });
  return day;
}
function rowsOf(messages, utc, readTo) {
  const rows = [];
  let before = null;
  for (const message of messages) {
    const day = dayOfMessage(message, utc);
    const isNewDay = !before || dayOfMessage(before, utc) !== day;
    const isNew = before !== null && before.id === readTo;
    if (isNewDay) rows.push({ key: `day ${day}`, day, at: message.created_at, moves: true });
    if (isNew) rows.push({ key: "new", isNew, moves: true });
    const goesOn = !isNewDay && !isNew && before.from.fqid === message.from.fqid && before.from.name === message.from.name && new Date(message.created_at) - new Date(before.created_at) < 3e5;
    rows.push({ key: message.id, message, goesOn });
    before = message;
  }
  return rows;
}
function ConversationView({ where }) {
  const key = keyOf(where);
  useSlices(`conversation:${key}`, "settings", "wakes", "threads", "rooms", "dms", "route", "agents");
  const list = T2(null);
  const wanted = route.query.get("message") ?? "";
  const at = route.query.get("at") ?? "";
  A2(() => {
    openConversation(where, { messageId: wanted, at });
    return () => {
      if (open.key === key) open.key = "";
    };
  }, [key, wanted, at]);
  A2(() => void learnThreads(where), [key]);
  const found = conversation(where);
  const { utc } = model.settings;
  const rows = w2(() => rowsOf(found.messages, utc, found.readTo), [found.messages, utc, found.readTo]);
  const threads = threadsByParent(where);
  const pending = pendingOf(key).map((attempt) => ({ key: attempt.message.id, attempt }));
  const items = found.hasNewer ? rows : [...rows, ...pending.filter(({ key: id }) => !found.ids.has(id))];
  const row2 = (item) => {
    if (item.day) return html`<h3 class="day"><span>${longDay(item.at, utc)}</span></h3>`;
    if (item.isNew) return html`<h3 class="day new"><span>new</span></h3>`;
    if (item.attempt) return html`<${PendingRow} conversation=${key} attempt=${item.attempt} state=${item.attempt.state} />`;
    return html`<${MessageRow} message=${item.message} goesOn=${item.goesOn} utc=${utc} where=${where}
      wakes=${model.wakes.get(item.key)} thread=${threads.get(item.key)} isWanted=${item.key === wanted} />`;
  };
  const toEnd = async () => {
    if (found.hasNewer) await load(where);
    list.current?.scrollToEnd();
  };
  const isAway = found.loaded && (found.newer > 0 || found.hasNewer || !open.following);
  const showsFiles = route.query.get("show") === "files";
  return html`<section class="conversation ${showsFiles ? "with-aside" : ""}" aria-label=${titleOf(where)}>
    <${Head} where=${where} />
    <div class="talk">
      ${found.error && html`<${Problem} error=${found.error} retry=${() => load(where, { messageId: wanted, at })} />`}
      ${!found.loaded && found.loading && html`<p class="empty" role="status">loading…</p>`}
      ${found.loaded && items.length === 0 && html`<p class="empty">${emptyText(where, found)}</p>`}
      <div class="reading">
        ${found.loading === "older" && html`<p class="loading" role="status">loading older messages…</p>`}
        ${found.loaded && html`<${VirtualList} handle=${list} items=${items} row=${row2} label="Messages" target=${wanted || found.first}
          atNewest=${!found.hasNewer} onFollow=${(following) => follow(key, following)}
          onEdge=${(edge) => edge === "older" ? loadOlder(where) : loadNewer(where)} />`}
        ${isAway && html`<button type="button" class="newest" onClick=${toEnd}>
          ${found.newer > 0 ? counted(found.newer, "new message") : "to the newest"} <${Icon} name="down" />
        </button>`}
      </div>
      <${Composer} key=${key} where=${where} />
    </div>
    ${showsFiles && html`<${Files} key=${key} where=${where} />`}
  </section>`;
}
function emptyText({ kind, id }, found) {
  if (!found.missing) return "Nothing has been said here yet.";
  const isBeginning = kind === "thread" ? route.query.has("room") : kind === "dm" && route.query.has("with");
  return isBeginning ? "Nothing has been said here yet. The first message begins it." : `There is no ${kind} ${shortened(id)} that you may read.`;
}
function threadsByParent({ kind, id }) {
  const found = /* @__PURE__ */ new Map();
  if (kind !== "room") return found;
  for (const thread of model.threads.values()) if (thread.room_id === id) found.set(thread.parent_message_id, thread);
  return found;
}

// views/events.js
var MAX_HISTORY = 1e4;
var SUGGESTED2 = 300;
var CALM_MS2 = 200;
var TYPING_MS = 250;
var NOTHING = { kind: "", agent: "", room: "" };
function EventsView() {
  useSlices("settings", "rooms", "agents");
  useCalmSlices(CALM_MS2, "events");
  const [filter, setFilter] = d2(NOTHING);
  const [words, setWords] = d2("");
  const [paused, setPaused] = d2(null);
  const history2 = useHistory(filter);
  const live = paused?.events ?? model.events;
  const wanted = words.trim().toLowerCase();
  const shown = w2(() => {
    const ids = new Set(history2.events.map(({ id }) => id));
    const since = live.filter((event) => !ids.has(event.id) && fits(event, filter));
    const isSaid = (event) => !wanted || JSON.stringify(event).toLowerCase().includes(wanted);
    const before = history2.events.filter((event) => !paused || event.created_at <= paused.upTo);
    return withDays([...before, ...since].filter(isSaid), model.settings.utc);
  }, [paused, history2.events, live, live.length, live.at(-1)?.id, filter, wanted, model.settings.utc]);
  const events = shown.filter(({ event }) => event);
  const missed = paused ? model.eventCount - paused.count : 0;
  const change2 = (name) => (input) => setFilter((before) => ({ ...before, [name]: input.target.value.trim() }));
  const controls = html`<div class="actions filters">
    <select aria-label="Type of event" value=${filter.kind} onChange=${change2("kind")}>
      <option value="">all types</option>${EVENT_TYPES.map((type) => html`<option value=${type}>${type}</option>`)}
    </select>
    <input type="search" aria-label="Agent" placeholder="Agent" list="agents-known" value=${filter.agent} onInput=${change2("agent")} />
    <datalist id="agents-known">${[...model.agents.values()].slice(0, SUGGESTED2).map((agent) => html`<option value=${agent.id}>${agent.name}</option>`)}</datalist>
    <input type="search" aria-label="Room" placeholder="Room" list="rooms-known" value=${filter.room} onInput=${change2("room")} />
    <datalist id="rooms-known">${[...model.rooms.values()].slice(0, SUGGESTED2).map((room) => html`<option value=${room.id}>${room.name}</option>`)}</datalist>
    <input type="search" aria-label="Filter events" placeholder="Any text" value=${words} onInput=${(input) => setWords(input.target.value)} />
    <button type="button" aria-pressed=${paused ? "true" : "false"} onClick=${() => setPaused(paused ? null : heldStill(history2.events))}>
      ${paused ? `go on${missed > 0 ? ` (${missed} new)` : ""}` : "pause"}
    </button>
    <button type="button" onClick=${() => save2(events.map(({ event }) => event))}>save as JSON</button>
  </div>`;
  return html`<div class="fill"><${Panel} title="events" count=${events.length} actions=${controls}>
    ${history2.error && html`<${Problem} error=${history2.error} retry=${history2.more} />`}
    ${events.length === 0 && !history2.isLoading && html`<p class="empty">${history2.hasMore && !history2.error ? "None of those that were looked at fits." : "No event fits."}
      ${history2.hasMore && !history2.error && html` <button type="button" onClick=${history2.more}>look further back</button>`}</p>`}
    <div class="reading">
      ${history2.isLoading && html`<p class="loading" role="status">loading older events…</p>`}
      <${VirtualList} items=${shown} row=${row} label="Events" onEdge=${(edge) => edge === "older" && events.length > 0 && history2.more()} />
    </div>
  <//></div>`;
}
function heldStill(older) {
  const events = [...model.events];
  return { events, count: model.eventCount, upTo: (events.at(-1) ?? older.at(-1))?.created_at ?? (/* @__PURE__ */ new Date()).toISOString() };
}
function fits({ type, message, room, agent, thread, approval }, wanted) {
  if (wanted.kind && type !== wanted.kind) return false;
  const target = message?.target ?? agent?.target ?? approval?.target;
  if (wanted.room && ![room?.id, target?.room_id, thread?.room_id].includes(wanted.room)) return false;
  if (!wanted.agent) return true;
  const fqid = findAgent(wanted.agent)?.fqid ?? wanted.agent;
  const about = [message?.from.id, message?.from.fqid, agent?.agent_id, agent?.fqid, approval?.agent_id, ...message?.mentions ?? []];
  return about.includes(wanted.agent) || about.includes(fqid);
}
function withDays(events, utc) {
  const items = [];
  let day = "";
  for (const event of events) {
    const here = dayOf(event.created_at, utc);
    if (here !== day) items.push({ key: `day ${here}`, day: here, moves: true });
    day = here;
    items.push({ key: event.id || event.created_at, event });
  }
  return items;
}
var NO_HISTORY = { events: [], before: "", hasMore: true, isLoading: false, error: "" };
function useHistory({ kind, agent, room }) {
  const [, redraw] = d2(0);
  const history2 = T2({ ...NO_HISTORY, number: 0 }).current;
  const become = (change2) => {
    Object.assign(history2, change2);
    redraw((count) => count + 1);
  };
  const more = async () => {
    if (!history2.hasMore || history2.isLoading) return;
    const { number } = history2;
    become({ isLoading: true, error: "" });
    try {
      const { events, page } = await getEvents({ type: kind, agent_id: agent, room_id: room, before: history2.before });
      if (number !== history2.number) return;
      const all = [...events, ...history2.events];
      const before = page.next_before ?? "";
      become({ events: all, before, hasMore: page.has_more && before !== "" && all.length < MAX_HISTORY, isLoading: false });
    } catch (error) {
      if (number === history2.number) become({ isLoading: false, error: error.message });
    }
  };
  A2(() => {
    const timer = setTimeout(() => {
      become({ ...NO_HISTORY, number: history2.number + 1 });
      more();
    }, history2.number === 0 ? 0 : TYPING_MS);
    return () => clearTimeout(timer);
  }, [kind, agent, room]);
  return { ...history2, more };
}
var row = ({ event, day }) => day ? html`<h3 class="day"><span>${day}</span></h3>` : html`<${Row2} event=${event} />`;
function Row2({ event }) {
  return html`<p class="event">
    <${Time} at=${event.created_at} show=${clock} /> <span class="chip type" data-family=${event.type.split(".")[0]}>${event.type}</span> <span class="detail">${detailOf(event)}</span>
  </p>`;
}
function detailOf({ message, thread, dm, room, agent, approval, pairing, replay_gap }) {
  if (message) {
    const text = message.parts.map((part2) => part2.text ?? part2.kind).join(" ");
    return html`<bdi>${message.from.name || message.from.id}</bdi> → <${TargetLink} target=${message.target} message=${message.id} /> <span class="faint">${shortened(text, 120)}</span>`;
  }
  if (approval) return html`<${AgentLink} id=${approval.agent_id} /> ${approval.state} <${TargetLink} target=${approval.target} message=${approval.message_id} />`;
  if (agent) {
    return html`<${AgentLink} id=${agent.fqid || agent.agent_id} /> ${agent.target && html`<${TargetLink} target=${agent.target} message=${agent.message_id} />`} <span class="faint">${[agent.reason, agent.error].filter(Boolean).join(" · ")}</span>`;
  }
  if (thread) return html`<${TargetLink} target=${{ kind: "thread", thread_id: thread.id }} /> in <${TargetLink} target=${{ kind: "room", room_id: thread.room_id }} />`;
  if (dm) return html`<${TargetLink} target=${{ kind: "dm", dm_id: dm.id }} />`;
  if (room) return html`<${TargetLink} target=${{ kind: "room", room_id: room.id }} /> <span class="faint">${(room.members ?? []).length} members</span>`;
  if (pairing) return html`${pairing.id} ${pairing.status}`;
  return html`<span class="problem">missing since ${replay_gap?.requested_event_id || "the beginning"}</span>`;
}
function save2(events) {
  const address = URL.createObjectURL(new Blob([JSON.stringify(events, null, 2)], { type: "application/json" }));
  const link = Object.assign(document.createElement("a"), { href: address, download: "events.json" });
  link.click();
  URL.revokeObjectURL(address);
}

// views/health.js
var EVERY_MS = 2e3;
var KEPT_SAMPLES = 150;
var CALM_MS3 = 1e3;
var WIDTH = 240;
var HEIGHT = 48;
function readMetric(text, name, label = "") {
  let sum = 0;
  for (const line of text.split("\n")) {
    if (!line.startsWith(name) || !/[ {]/.test(line[name.length] ?? "")) continue;
    if (!label || line.includes(label)) sum += Number(line.slice(line.lastIndexOf(" ") + 1)) || 0;
  }
  return sum;
}
var PLOTS = [
  ["messages per second", (text) => readMetric(text, "moltnet_events_published_total", 'type="message.created"'), "rate"],
  ["requests per second", (text) => readMetric(text, "moltnet_http_requests_total"), "rate"],
  ["CPU share, %", (text) => 100 * readMetric(text, "process_cpu_seconds_total"), "rate"],
  ["memory, MB", (text) => readMetric(text, "process_resident_memory_bytes") / 1e6, "value"],
  ["attached agents", (text) => readMetric(text, "moltnet_active_attachments"), "value"],
  ["event streams", (text) => readMetric(text, "moltnet_active_sse_subscribers"), "value"],
  ["wakes waiting", (text) => readMetric(text, "moltnet_pending_wakes"), "value"],
  ["changes waiting for the storage", (text) => readMetric(text, "moltnet_journal_waiting_commands"), "value"],
  ["event loop, ms behind", (text) => 1e3 * readMetric(text, "moltnet_trio_round_seconds"), "value"]
];
function HealthView() {
  useSlices("network", "stream", "session");
  useCalmSlices(CALM_MS3, "events");
  const { samples, error } = useSamples();
  const warnings = model.network.warnings ?? [];
  const newest2 = samples.at(-1);
  return html`<${Panel} title="network">
      ${warnings.length === 0 && html`<${Empty}>The network reports no warnings.<//>`}
      <ul class="cards warnings-list">${warnings.map(({ severity, code, message, action, docs_url }) => html`<li class="card" key=${code}>
        <p class="problem">${severity}: ${message || code}</p><p>${action} ${docs_url && outwardLink(docs_url, "read more")}</p>
      </li>`)}</ul>
      <dl class="facts">
        <dt>version</dt><dd>${model.network.version}</dd>
        <dt>stream</dt><dd>${model.stream.state}</dd>
        <dt>last event came after</dt><dd>${model.events.length > 0 ? `${Math.round(model.stream.lagMs)} ms, by the clocks of both` : "—"}</dd>
        <dt>storage</dt><dd>${newest2 ? newest2.takesWrites ? "takes writes" : "does not take writes" : "—"}</dd>
      </dl>
      <div class="plots">
        <${Plot} title="events here per second" values=${everySecond("count")} />
        <${Plot} title="event lag, ms" values=${everySecond("lagMs")} />
      </div>
    <//>
    <${Panel} title="server">
      <${Note} why=${!isAdmin() && `What the server counts: ${whyNotAdmin()}`} />
      ${error && html`<${Problem} error=${error} />`}
      <div class="plots">${isAdmin() && PLOTS.map(([title, , kind], index) => html`<${Plot} key=${title} title=${title} values=${seriesOf(samples, index, kind)} />`)}</div>
    <//>`;
}
function everySecond(name) {
  const bySecond = new Map(model.stream.perSecond.map((each) => [each.second, each[name]]));
  const now = Math.floor(Date.now() / 1e3);
  return Array.from({ length: 120 }, (_3, ago2) => bySecond.get(now - 119 + ago2) ?? 0);
}
function useSamples() {
  const [state, setState] = d2({ samples: [], error: "" });
  A2(() => {
    if (!isAdmin()) return void 0;
    let isOpen = true;
    let timer = 0;
    const sample = async () => {
      try {
        const text = await getMetrics();
        const takesWrites = readMetric(text, "moltnet_store_health") === 1;
        const taken = { at: performance.now() / 1e3, takesWrites, values: PLOTS.map(([, read]) => read(text)) };
        if (isOpen) setState(({ samples }) => ({ samples: [...samples.slice(1 - KEPT_SAMPLES), taken], error: "" }));
      } catch (problem) {
        if (isOpen) setState(({ samples }) => ({ samples, error: problem.message }));
      }
      if (isOpen) timer = setTimeout(sample, EVERY_MS);
    };
    sample();
    return () => {
      isOpen = false;
      clearTimeout(timer);
    };
  }, []);
  return state;
}
function seriesOf(samples, index, kind) {
  if (kind === "value") return samples.map(({ values }) => values[index]);
  return samples.slice(1).map(({ at, values }, before) => {
    return Math.max(0, values[index] - samples[before].values[index]) / (at - samples[before].at);
  });
}
function Plot({ title, values }) {
  const most = Math.max(1e-9, ...values);
  const step2 = WIDTH / Math.max(1, values.length - 1);
  const points = values.map((value, index) => `${(index * step2).toFixed(1)},${(HEIGHT - 2 - value / most * (HEIGHT - 4)).toFixed(1)}`);
  const now = values.length > 0 ? shortNumber(values.at(-1)) : "—";
  return html`<figure class="plot">
    <figcaption><span>${title}</span> <strong>${now}</strong></figcaption>
    <svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${title}: now ${now}, at most ${shortNumber(most)}">
      ${points.length > 1 && html`<polygon points=${`0,${HEIGHT} ${points.join(" ")} ${WIDTH},${HEIGHT}`} />`}
      <polyline points=${points.join(" ")} />
    </svg>
  </figure>`;
}
var shortNumber = (value) => value >= 100 || Number.isInteger(value) ? String(Math.round(value)) : value.toFixed(2);

// views/navigation.js
var SHOWN4 = 200;
var CALM_MS4 = 400;
function conversationsInOrder() {
  const rooms = [...model.rooms.keys()].map((id) => ({ kind: "room", id }));
  const directs = [...model.dms.keys()].map((id) => ({ kind: "dm", id }));
  return [...newestFirst(rooms), ...newestFirst(directs)];
}
function newestFirst(conversations) {
  return conversations.map((where) => ({ where, at: model.lastAt.get(keyOf(where)) ?? 0, title: titleOf(where) })).sort((a3, b) => b.at - a3.at || a3.title.localeCompare(b.title)).map(({ where }) => where);
}
function step(by) {
  const all = conversationsInOrder();
  const now = all.findIndex(({ kind, id }) => kind === route.view && id === route.id);
  const next = all[(now + by + all.length) % all.length] ?? all[0];
  if (next) navigate(path(next.kind, next.id));
}
function Navigation() {
  useSlices("rooms", "dms", "unread", "route", "network", "threads", "agents");
  useCalmSlices(CALM_MS4, "activity");
  const [filter, setFilter] = d2("");
  const [onlyUnread, setOnlyUnread] = d2(false);
  const wanted = filter.trim().toLowerCase();
  const isShown = (where) => (!wanted || `${where.id} ${titleOf(where)}`.toLowerCase().includes(wanted)) && (!onlyUnread || model.unread.has(keyOf(where)));
  const all = conversationsInOrder().filter(isShown);
  const threads = [...model.unread.keys()].filter((key) => key.startsWith("thread:")).map((key) => ({ kind: "thread", id: key.slice(7) }));
  const directs = model.network?.capabilities.direct_messages;
  const empty = wanted || onlyUnread ? "Nothing fits." : "";
  return html`<nav class="side" aria-label="Conversations">
    <div class="filter">
      <input id="filter" type="search" placeholder="Filter ( / )" aria-label="Filter conversations" value=${filter}
        onInput=${(input) => setFilter(input.target.value)} />
      <label class="check"><input type="checkbox" checked=${onlyUnread} onChange=${(change2) => setOnlyUnread(change2.target.checked)} /> unread</label>
    </div>
    <${List} title="rooms" items=${all.filter(({ kind }) => kind === "room")} empty=${empty || "No rooms yet."} isCut=${cutLists.has("/v1/rooms")} />
    ${threads.length > 0 && html`<${List} title="threads with news" items=${threads.filter(isShown)} empty="Nothing fits." />`}
    ${directs && html`<${List} title="direct" items=${all.filter(({ kind }) => kind === "dm")}
      empty=${empty || "No direct conversations that you may read."} isCut=${cutLists.has("/v1/dms")} />`}
  </nav>`;
}
function List({ title, items, empty, isCut = false }) {
  const shown = items.slice(0, SHOWN4);
  const id = `list-${title.replace(/\W/g, "-")}`;
  return html`<section aria-labelledby=${id}>
    <h2 id=${id}>${title} <span class="count">${items.length}</span></h2>
    <ul>${shown.map((where) => html`<${Item} key=${keyOf(where)} where=${where} />`)}</ul>
    ${items.length === 0 && html`<p class="empty">${empty}</p>`}
    ${items.length > SHOWN4 && html`<p class="empty">${items.length - SHOWN4} more: use the filter.</p>`}
    ${isCut && html`<p class="empty">There are more than this page reads: open one by its address, /console/room/ and its id.</p>`}
  </section>`;
}
var SIGNS2 = { room: "#", thread: "↳" };
function isHere(id) {
  return (model.dms.get(id)?.participant_ids ?? []).some((participant) => findAgent(participant)?.connected);
}
function Item({ where }) {
  const key = keyOf(where);
  const unread = model.unread.get(key) ?? 0;
  const at = model.lastAt.get(key);
  const isOpen = route.view === where.kind && route.id === where.id;
  return html`<li>
    <a href=${path(where.kind, where.id)} aria-current=${isOpen ? "page" : void 0} class=${unread > 0 ? "unread" : ""}>
      ${where.kind === "dm" ? html`<span class="sign presence ${isHere(where.id) ? "online" : ""}" aria-hidden="true"><span class="dot"></span></span>` : html`<span class="sign" aria-hidden="true">${SIGNS2[where.kind]}</span>`}
      <span class="label" title=${where.id}><bdi>${titleOf(where)}</bdi></span>
      ${at && html`<span class="faint ago">${ago(at)}</span>`}
      ${unread > 0 && html`<span class="badge" aria-label="${unread} unread">${unread > 99 ? "99+" : unread}</span>`}
    </a>
  </li>`;
}

// views/pairings.js
var NOT_ALLOWED = "To see pairings takes a token with observe or admin.";
function PairingsView() {
  useSlices("pairings", "outbox");
  const { error, again } = useAnswer(() => mayObserve() ? refreshPairings() : Promise.resolve(), []);
  if (!mayObserve()) return html`<${Panel} title="pairings"><${Note} why=${NOT_ALLOWED} /><//>`;
  const ids = [.../* @__PURE__ */ new Set([...model.pairings.keys(), ...model.outbox.keys()])];
  return html`<${Panel} title="pairings" count=${ids.length} actions=${html`<button type="button" onClick=${again}>refresh</button>`}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${ids.length === 0 && html`<${Empty}>This network is paired with no other. <code>moltnet pair invite</code> begins that.<//>`}
    <ul class="cards">${ids.map((id) => {
    const pairing = model.pairings.get(id) ?? { id, status: "not configured" };
    const queue = model.outbox.get(id) ?? { waiting: 0, dead_letters: 0 };
    return html`<li class="card" key=${id}>
        <h3><a href=${path("pairing", id)}><bdi>${pairing.remote_network_name || pairing.remote_network_id || id}</bdi></a></h3>
        <p><span class="chip state ${pairing.status}">${pairing.status || "unknown"}</span>
          <span class="faint"> ${pairing.diagnostics?.message ?? pairing.diagnostics?.reason ?? ""}</span></p>
        <p>${queue.waiting} waiting, ${queue.dead_letters} dead letters</p>
      </li>`;
  })}</ul>
  <//>`;
}
function PairingView({ id }) {
  useSlices("pairings", "outbox", "settings", "session");
  if (!mayObserve()) return html`<${Panel} title="pairing"><${Note} why=${NOT_ALLOWED} /><//>`;
  const pairing = model.pairings.get(id);
  const queue = model.outbox.get(id);
  if (!pairing && !queue) return html`<${Panel} title="pairing"><${Empty}>There is no pairing ${shortened(id)}.<//><//>`;
  const diagnostics = pairing?.diagnostics;
  return html`<${Panel} title=${`pairing ${id}`} actions=${html`<span class="chip state ${pairing?.status ?? ""}">${pairing?.status || "not configured"}</span>`}>
      <dl class="facts">
        <dt>network</dt><dd><bdi>${pairing?.remote_network_name || "—"}</bdi> ${pairing?.remote_network_id}</dd>
        <dt>address</dt><dd>${pairing?.remote_base_url || "—"}</dd>
        <dt>state</dt><dd>${diagnostics?.message || diagnostics?.reason || "—"}</dd>
        <dt>version</dt><dd>${diagnostics?.remote_version || "—"}</dd>
        <dt>checked</dt><dd><${Time} at=${diagnostics?.checked_at} /></dd>
        <dt>waiting</dt><dd>${queue?.waiting ?? 0}${queue?.oldest_waiting_at && html` since <${Time} at=${queue.oldest_waiting_at} />`}</dd>
        <dt>dead letters</dt><dd>${queue?.dead_letters ?? 0}</dd>
      </dl>
      ${pairing && html`<${Switch} pairing=${pairing} />`}
    <//>
    ${pairing && html`<${Remote} id=${id} />`}
    <${DeadLetters} id=${id} />`;
}
function Switch({ pairing: { id, status } }) {
  const why = whyNotAdmin();
  const isOff = status === "disabled";
  const act = () => confirm({
    title: `${isOff ? "Enable" : "Disable"} the pairing ${id}`,
    text: isOff ? "Messages go to the other network again, those that wait first." : "Nothing goes to the other network any more, and it is asked nothing. What is for it waits until the pairing is enabled; what it sends is still taken.",
    label: isOff ? "enable" : "disable",
    danger: !isOff,
    act: async () => {
      await switchPairing(id, isOff);
      await refreshPairings();
    }
  });
  return html`<div class="actions"><${Guarded} why=${why} className=${isOff ? "" : "danger"} onClick=${act}>${isOff ? "enable…" : "disable…"}<//></div>
    <${Note} why=${why} />`;
}
function Remote({ id }) {
  const { answer, error, isLoading, again } = useAnswer(
    () => Promise.all([askPairing(id, "network"), askPairing(id, "rooms"), askPairing(id, "agents")]),
    [id]
  );
  const [network, rooms, agents] = answer ?? [];
  return html`<${Panel} title="the other network" actions=${html`<button type="button" onClick=${again}>test</button>`}>
    ${isLoading && html`<p class="empty" role="status">asking…</p>`}
    ${error && html`<${Problem} error=${error} />`}
    ${network && !error && html`<dl class="facts">
      <dt>name</dt><dd><bdi>${network.name || network.id}</bdi></dd>
      <dt>version</dt><dd>${network.version || "—"}</dd>
      <dt>protocols</dt><dd>${Object.values(network.protocols).flat().join(", ")}</dd>
      <dt>rooms shown to us</dt><dd>${rooms.rooms.map((room) => room.name || room.id).join(", ") || "none"}</dd>
      <dt>agents shown to us</dt><dd>${agents.agents.map((agent) => agent.id).join(", ") || "none"}</dd>
    </dl>`}
  <//>`;
}
function DeadLetters({ id }) {
  const { answer, error, again } = useAnswer(() => getDeadLetters(id), [id]);
  const why = whyNotAdmin();
  const letters = answer?.dead_letters ?? [];
  const act = (title, text, label, work) => confirm({
    title,
    text,
    label,
    danger: label === "drop",
    act: async () => {
      await work();
      again();
      await refreshPairings();
    }
  });
  return html`<${Panel} title="dead letters" count=${letters.length} actions=${html`<button type="button" onClick=${again}>refresh</button>`}>
    ${error && html`<${Problem} error=${error} retry=${again} />`}
    ${answer && letters.length === 0 && html`<${Empty}>The other network has refused nothing for good.<//>`}
    <ul class="cards">${letters.map((letter) => html`<li class="card" key=${letter.message_id}>
      <p><code>${letter.message_id}</code> ${letter.conversation} <${Time} at=${letter.failed_at} /></p>
      <p class="problem">${letter.status} ${letter.code}: ${letter.message}</p>
      <div class="actions">
        <${Guarded} why=${why} onClick=${() => act("Send again", "The message waits for the other network again.", "send again", () => retryDeadLetter(id, letter.message_id))}>send again…<//>
        <${Guarded} why=${why} className="danger" onClick=${() => act("Drop the dead letter", "It will not be sent any more.", "drop", () => dropDeadLetter(id, letter.message_id))}>drop…<//>
      </div>
    </li>`)}</ul>
    <${Note} why=${letters.length > 0 && why} />
  <//>`;
}

// views/palette.js
var MOST = 12;
var VIEWS2 = ["search", "agents", "approvals", "pairings", "events", "health", "admin"];
var SHORTCUTS = [
  ["Ctrl K", "find a conversation, an agent or a view"],
  ["/", "filter the conversations"],
  ["s", "search in what was said"],
  ["c", "write a message"],
  ["j, k", "next and previous conversation"],
  ["Enter, Shift Enter", "send; begin a new line"],
  ["Esc", "close what is open"],
  ["?", "this list"]
];
function isTyping(target) {
  return target.closest?.("input, textarea, select, dialog[open]") !== null;
}
function Overlays() {
  const [shown, setShown] = d2("");
  F2(() => {
    const pressed = (press) => {
      if ((press.ctrlKey || press.metaKey) && press.key.toLowerCase() === "k") {
        press.preventDefault();
        if (!document.querySelector("dialog[open]")) setShown("palette");
        return;
      }
      if (press.ctrlKey || press.metaKey || press.altKey || isTyping(press.target)) return;
      const acts = {
        "?": () => setShown("help"),
        "/": () => document.getElementById("filter")?.focus(),
        s: () => navigate(path("search")),
        c: () => document.getElementById("composer-text")?.focus(),
        j: () => step(1),
        k: () => step(-1)
      };
      if (!acts[press.key]) return;
      press.preventDefault();
      acts[press.key]();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
  const close2 = () => setShown("");
  if (shown === "palette") return html`<${Palette} onClose=${close2} />`;
  return shown === "help" && html`<${Help} onClose=${close2} />`;
}
function everything() {
  const signs = { room: "#", dm: "✉" };
  const conversations = conversationsInOrder().map((where) => ({
    label: `${signs[where.kind]} ${titleOf(where)}`,
    note: where.id,
    to: path(where.kind, where.id)
  }));
  const agents = [...model.agents.values()].map((agent) => ({
    label: `@ ${agent.name || agent.id}`,
    note: agent.fqid || agent.id,
    to: path("agent", agent.fqid || agent.id)
  }));
  return [...conversations, ...VIEWS2.map((view) => ({ label: view, note: "view", to: path(view) })), ...agents];
}
function Palette({ onClose }) {
  useSlices("rooms", "agents", "dms");
  const [query, setQuery] = d2("");
  const [chosen, setChosen] = d2(0);
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  const found = w2(
    () => everything().filter(({ label, note }) => words.every((word) => `${label} ${note}`.toLowerCase().includes(word))).slice(0, MOST),
    [query]
  );
  const go = (item) => {
    onClose();
    if (item) navigate(item.to);
  };
  const pressed = (press) => {
    const move = { ArrowDown: 1, ArrowUp: -1 }[press.key];
    if (move && found.length > 0) setChosen((chosen + move + found.length) % found.length);
    else if (press.key === "Enter") go(found[chosen]);
    else return;
    press.preventDefault();
  };
  return html`<${Dialog} title="Find" className="palette" onClose=${onClose}>
    <input role="combobox" aria-label="Find" aria-expanded="true" aria-controls="palette-list" aria-autocomplete="list" autofocus
      aria-activedescendant=${found.length > 0 ? `palette-${chosen}` : void 0} placeholder="A conversation, an agent, a view" value=${query}
      onInput=${(input) => {
    setQuery(input.target.value);
    setChosen(0);
  }} onKeyDown=${pressed} />
    <ul id="palette-list" role="listbox" aria-label="Found">${found.map((item, index) => html`<li role="option" id="palette-${index}" key=${item.to}
      aria-selected=${index === chosen ? "true" : "false"} onClick=${() => go(item)}><bdi>${item.label}</bdi> <span class="faint">${item.note}</span></li>`)}</ul>
    ${found.length === 0 && html`<p class="empty" role="status">Nothing fits.</p>`}
  <//>`;
}
function Help({ onClose }) {
  return html`<${Dialog} title="Keys" onClose=${onClose}>
    <h2>keys</h2>
    <dl class="facts">${SHORTCUTS.map(([keys, what]) => html`<dt><kbd>${keys}</kbd></dt><dd>${what}</dd>`)}</dl>
    <form method="dialog" class="actions"><button autofocus>close</button></form>
  <//>`;
}

// views/search.js
var FIELDS = ["text", "from", "room", "dm", "thread", "since", "until"];
var SHOWN_CHARACTERS = 400;
var CONTEXT_CHARACTERS = 120;
var SUGGESTED3 = 300;
var ENOUGH = 20;
var MOST_REQUESTS = 50;
function SearchView() {
  useSlices("route", "rooms", "dms", "settings");
  const words = Object.fromEntries(FIELDS.map((name) => [name, wordOf(name)]));
  const isAsked = Boolean(words.text || words.from || words.since || words.until);
  const { found, state, more, stop } = useSearch(words, isAsked);
  return html`<${Panel} title="search" count=${isAsked && found.length > 0 ? found.length : ""}>
    <${Form} words=${words} key=${route.query.toString()} />
    ${!isAsked && html`<${Empty}>Every word that you may read, in rooms, threads and direct conversations.<//>`}
    <ul class="found">${found.map((message) => html`<${Found} key=${message.id} message=${message} text=${words.text} />`)}</ul>
    ${state.error && html`<${Problem} error=${state.error} retry=${more} />`}
    ${isAsked && state.isOver && !state.error && found.length === 0 && html`<${Empty}>Nothing fits.<//>`}
    <p class="faint" role="status">${progress(state, found.length)}</p>
    ${state.isLoading && html`<button type="button" onClick=${stop}>stop</button>`}
    ${isAsked && !state.isOver && !state.isLoading && !state.error && html`<button type="button" onClick=${more}>look further back</button>`}
  <//>`;
}
function wordOf(name) {
  const word = route.query.get(name) ?? "";
  return ["since", "until"].includes(name) && !/^\d{4}-\d\d-\d\d$/.test(word) ? "" : word;
}
function progress({ isLoading, isOver, searchedTo }, count) {
  if (isOver) return count > 0 ? "That is all." : "";
  if (!searchedTo) return isLoading ? "looking…" : "";
  return html`${isLoading ? "looking… so far" : "Looked"} back to <${Time} at=${searchedTo} />.`;
}
function Form({ words }) {
  const field = T2(null);
  A2(() => field.current.focus(), []);
  const submit = (event) => {
    event.preventDefault();
    const written = Object.fromEntries([...new FormData(event.target)].map(([name, value]) => [name, value.trim()]));
    const query = Object.entries({ dm: words.dm, thread: words.thread, ...written }).filter(([, value]) => value);
    navigate(path("search", "", Object.fromEntries(query)));
  };
  const within = words.dm ? { kind: "dm", id: words.dm } : words.thread ? { kind: "thread", id: words.thread } : null;
  return html`<form class="fields search" role="search" onSubmit=${submit}>
    <label class="wide">text <input type="search" name="text" ref=${field} value=${words.text} maxlength="256" autocomplete="off" /></label>
    ${within ? html`<p>in ${titleOf(within)} <a href=${path("search", "", { text: words.text })}>everywhere</a></p>` : html`<label>room <input name="room" list="rooms-known" value=${words.room} autocomplete="off" /></label>
        <datalist id="rooms-known">${[...model.rooms.values()].slice(0, SUGGESTED3).map((room) => html`<option value=${room.id}>${room.name}</option>`)}</datalist>`}
    <label>from <input name="from" list="agents-known" value=${words.from} autocomplete="off" /></label>
    <datalist id="agents-known">${[...model.agents.values()].slice(0, SUGGESTED3).map((agent) => html`<option value=${agent.id}>${agent.name}</option>`)}</datalist>
    <label>since <input type="date" name="since" value=${words.since} /></label>
    <label>until <input type="date" name="until" value=${words.until} /></label>
    <button class="primary">search</button>
  </form>`;
}
function startOf(day, days2 = 0) {
  if (!day) return "";
  const at = /* @__PURE__ */ new Date(`${day}T00:00:00${model.settings.utc ? "Z" : ""}`);
  if (Number.isNaN(at.getTime())) return "";
  at.setDate(at.getDate() + days2);
  return at.toISOString();
}
function useSearch(words, isAsked) {
  const nothing = { isLoading: false, isOver: false, error: "", searchedTo: "", before: "" };
  const [{ found, state }, setResult] = d2({ found: [], state: nothing });
  const asked3 = T2(0);
  const ask = async (known, { before, searchedTo }) => {
    const number = asked3.current += 1;
    const { text, from: from2, room, dm, thread, since, until } = words;
    const wanted = { text, from: from2, room_id: room, dm_id: dm, thread_id: thread, since: startOf(since), until: startOf(until, 1) };
    let all = known;
    let at = { ...nothing, before, searchedTo };
    try {
      for (let requests = 0; requests < MOST_REQUESTS && !at.isOver && all.length < known.length + ENOUGH; requests += 1) {
        setResult({ found: all, state: { ...at, isLoading: true } });
        const { messages, page, searched_to = at.searchedTo } = await search({ ...wanted, before: at.before });
        if (number !== asked3.current) return;
        all = [...all, ...messages];
        at = { ...at, isOver: !page.has_more, searchedTo: searched_to, before: page.next_before ?? "" };
      }
    } catch (error) {
      if (number !== asked3.current) return;
      at = { ...at, error: error.message };
    }
    setResult({ found: all, state: at });
  };
  const stop = () => {
    asked3.current += 1;
    setResult((now) => ({ found: now.found, state: { ...now.state, isLoading: false } }));
  };
  A2(() => {
    if (isAsked) ask([], nothing);
    else setResult({ found: [], state: nothing });
    return () => {
      asked3.current += 1;
    };
  }, FIELDS.map((name) => words[name]));
  return { found, state, stop, more: () => ask(found, state) };
}
function Found({ message, text }) {
  const { kind, id } = conversationOf(message.target);
  const said2 = message.parts.map((part2) => [part2.text, part2.filename, part2.url].filter(Boolean).join(" ")).join("\n");
  return html`<li class="card found-message">
    <${Avatar} actor=${message.from} />
    <div>
      <p class="faint"><${Actor} actor=${message.from} /> <${TargetLink} target=${message.target} /> <${Time} at=${message.created_at} /></p>
      <a class="excerpt" href=${path(kind, id, { message: message.id })}>${marked(said2, text)}</a>
    </div>
  </li>`;
}
function wordsOf2(text) {
  return [...text.toLowerCase().matchAll(/"([^"]*)"?|(\S+)/g)].map(([, quoted, word]) => quoted ?? word).filter(Boolean);
}
function marked(said2, text) {
  const lower = said2.toLowerCase();
  const words = lower.length === said2.length ? wordsOf2(text) : [];
  const first = Math.min(...words.map((word) => lower.indexOf(word)).filter((at) => at >= 0), said2.length);
  const begin = first === said2.length || first < CONTEXT_CHARACTERS ? 0 : first - CONTEXT_CHARACTERS;
  const end = begin + SHOWN_CHARACTERS;
  const nodes = [begin > 0 && "…"];
  let done = begin;
  while (done < Math.min(end, said2.length)) {
    const next = words.map((word) => ({ word, at: lower.indexOf(word, done) })).filter(({ at }) => at >= 0 && at < end).sort((a3, b) => a3.at - b.at)[0];
    if (!next) break;
    nodes.push(said2.slice(done, next.at), html`<mark>${said2.slice(next.at, next.at + next.word.length)}</mark>`);
    done = next.at + next.word.length;
  }
  return [...nodes, said2.slice(done, Math.max(done, end)), end < said2.length && "…"];
}

// views/signin.js
var FAILED = "sign_in";
var NOT_GOOD = "That token is not good on this network.";
var WHY = {
  failed: NOT_GOOD,
  by_hand: "A link on another site can't sign you in. Enter the token here.",
  origin: "This address is none of the network's allowed_origins: nobody can sign in here."
};
function takeLinkProblem() {
  const url = new URL(location.href);
  const why = WHY[url.searchParams.get(FAILED)] ?? null;
  if (why) {
    url.searchParams.delete(FAILED);
    history.replaceState(null, "", url.pathname + url.search);
  }
  return why;
}
function SignIn({ why, onClose }) {
  const [note, setNote] = d2(why);
  const [isBusy, setBusy] = d2(false);
  const field = T2(null);
  A2(() => field.current.focus(), []);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    setNote("");
    try {
      await signIn2(field.current.value.trim());
      field.current.value = "";
    } catch (error) {
      setNote(error.needsSignIn ? NOT_GOOD : `Not signed in: ${error.message}.`);
      setBusy(false);
      field.current?.select();
    }
  };
  return html`<form class="panel sign-in" aria-label="Sign in" onSubmit=${submit}>
    <h2>sign in</h2>
    <p>A token of this network. It is sent once; this browser then keeps a session that ends by itself, or when you sign out.</p>
    <label>token <input ref=${field} type="password" autocomplete="current-password" required maxlength="4096" /></label>
    <p class="problem" role="alert">${note}</p>
    <div class="actions">
      ${onClose && html`<button type="button" onClick=${onClose}>not now</button>`}
      <button class="primary" disabled=${isBusy}>sign in</button>
    </div>
  </form>`;
}

// views/welcome.js
function Welcome() {
  useSlices("network", "rooms", "agents", "dms", "approvals", "unread", "pairings");
  const online = [...model.agents.values()].filter(({ connected: connected2 }) => connected2).length;
  const tiles = [
    ["rooms", model.rooms.size, path("home")],
    ["agents online", `${online} of ${model.agents.size}`, path("agents")],
    ["unread", unreadTotal(), path("home")],
    ...mayObserve() ? [["to approve", pendingApprovals().length, path("approvals")], ["pairings", model.pairings.size, path("pairings")]] : []
  ];
  return html`<div class="panel welcome">
    <h2>${model.network?.name || "Moltnet"}</h2>
    <p class="faint">Choose a conversation, or press <kbd>Ctrl</kbd> <kbd>K</kbd>.</p>
    <ul class="tiles">${tiles.map(([label, value, to]) => html`<li><a href=${to}><strong>${value}</strong> <span>${label}</span></a></li>`)}</ul>
    ${model.agents.size === 0 && html`<p>No agent is here yet. <a href="/install.md">Connect your agent</a>.</p>`}
  </div>`;
}

// views/shell.js
var VIEWS3 = {
  room: () => html`<${ConversationView} key=${`room:${route.id}`} where=${{ kind: "room", id: route.id }} />`,
  dm: () => html`<${ConversationView} key=${`dm:${route.id}`} where=${{ kind: "dm", id: route.id }} />`,
  thread: () => html`<${ConversationView} key=${`thread:${route.id}`} where=${{ kind: "thread", id: route.id }} />`,
  search: () => html`<${SearchView} />`,
  agents: () => html`<${AgentsView} />`,
  agent: () => html`<${AgentView} key=${route.id} id=${route.id} />`,
  approvals: () => html`<${ApprovalsView} />`,
  pairings: () => html`<${PairingsView} />`,
  pairing: () => html`<${PairingView} key=${route.id} id=${route.id} />`,
  events: () => html`<${EventsView} />`,
  health: () => html`<${HealthView} />`,
  admin: () => html`<${AdminView} />`,
  home: () => html`<${Welcome} />`
};
var CONVERSATIONS = ["home", "room", "dm", "thread"];
var RAIL = ["search", "agents", "approvals", "pairings", "events", "health", "admin"];
var PARENTS = { agent: "agents", pairing: "pairings" };
var Fenced = class extends x {
  componentDidCatch(fault) {
    console.error(fault);
    this.setState({ fault });
  }
  render({ children }, { fault }) {
    if (!fault) return children;
    return html`<${Problem} error=${`this view can't be shown: ${fault.message}`} retry=${() => this.setState({ fault: null })} />`;
  }
};
function Shell() {
  useSlices("session", "route");
  const [isAsking, setAsking] = d2(() => takeLinkProblem());
  const main = T2(null);
  const isFirst = T2(true);
  A2(() => {
    if (isFirst.current) isFirst.current = false;
    else if (!main.current?.contains(document.activeElement)) main.current?.focus({ preventScroll: true });
  }, [route.view, route.id]);
  const mustSignIn = model.phase === "signed-out";
  const close2 = mustSignIn ? null : () => setAsking(null);
  return html`
    <a class="skip" href="#main" onClick=${(click) => {
    click.preventDefault();
    main.current?.focus();
  }}>Skip to the content</a>
    <${TopBar} ask=${() => setAsking("")} />
    ${model.problem && html`<div class="notice" role="alert">
      <p>${sentence(model.problem)} Trying again by itself.</p><button type="button" onClick=${start}>try again</button>
    </div>`}
    ${model.fault && html`<div class="notice fault" role="alert">
      <p>Something went wrong in this page: ${sentence(model.fault)} What it shows may be old.</p>
      <button type="button" onClick=${() => location.reload()}>load it again</button>
    </div>`}
    ${(mustSignIn || isAsking !== null) && html`<${SignIn} why=${isAsking ?? ""} onClose=${close2} />`}
    <div class="frame" data-view=${route.view} data-phase=${model.phase}>
      ${model.phase === "ready" && html`<${Rail} /><${Navigation} />`}
      <main id="main" ref=${main} tabindex="-1">
        ${model.phase === "ready" && html`<${Fenced} key=${`${route.view} ${route.id}`}>${VIEWS3[route.view]()}<//>`}
        ${model.phase === "starting" && html`<${Skeleton} />`}
      </main>
    </div>
    ${model.phase === "ready" && html`<${Overlays} />`}
    <${Confirmation} />
    <${Announcer} />`;
}
function Skeleton() {
  return html`<div class="skeleton">
    <p role="status">connecting…</p>
    ${[60, 85, 40, 70].map((width) => html`<p class="bar w${width}" aria-hidden="true"></p>`)}
  </div>`;
}
function Rail() {
  useSlices("route", "approvals", "unread");
  const waiting = pendingApprovals().length;
  const unread = unreadTotal();
  const here = PARENTS[route.view] ?? route.view;
  const isTalking = CONVERSATIONS.includes(route.view);
  return html`<nav class="tabs" aria-label="Views">
    <a class=${isTalking ? "is-here" : ""} href=${path("home")} aria-current=${isTalking ? "true" : void 0}>
      <${Icon} name="conversations" /><span>chats</span>
      ${unread > 0 && html` <span class="badge" aria-label="${unread} unread">${unread > 99 ? "99+" : unread}</span>`}
    </a>
    ${RAIL.map((view) => html`<a class=${here === view ? "is-here" : ""} href=${path(view)} aria-current=${here === view ? "page" : void 0}>
      <${Icon} name=${view} /><span>${view}</span>
      ${view === "approvals" && waiting > 0 && html` <span class="badge" aria-label="${waiting} waiting">${waiting}</span>`}
    </a>`)}
  </nav>`;
}
function TopBar({ ask }) {
  useSlices("session", "network", "stream", "settings");
  const { network } = model;
  return html`<header class="top">
    <a class="brand" href=${path("home")} aria-label="Moltnet: conversations">
      <img src="/console/favicon.svg" alt="" width="24" height="24" />
    </a>
    <h1 title=${network?.id}>${network?.name || network?.id || "Moltnet"}</h1>
    <span class="stream" role="status" data-state=${model.stream.state}>${model.stream.state}</span>
    <${Warnings} warnings=${network?.warnings ?? []} />
    <${Account} ask=${ask} />
  </header>`;
}
var WARNINGS_SHOWN = 2;
function Warnings({ warnings }) {
  const more = warnings.length - WARNINGS_SHOWN;
  return html`<div class="warnings">
    ${warnings.slice(0, WARNINGS_SHOWN).map(({ severity, code, message, action }) => html`<a
      class="warning ${severity === "error" ? "error" : ""}" href=${path("health")} title=${action}>${message || code}</a>`)}
    ${more > 0 && html`<a class="warning" href=${path("health")}>${more} more</a>`}
  </div>`;
}

// app.js
var TICK_MS = 3e4;
function showTheme() {
  Object.assign(document.documentElement.dataset, { theme: model.settings.theme, contrast: model.settings.contrast });
}
function showTitle() {
  const unread = unreadTotal();
  const where = ["room", "dm", "thread"].includes(route.view) ? titleOf({ kind: route.view, id: route.id }) : route.view;
  const name = model.network?.name || model.network?.id || "Moltnet";
  document.title = `${unread > 0 ? `(${unread}) ` : ""}${route.view === "home" ? name : `${where} · ${name}`}`;
}
function showFault(problem) {
  model.fault = problem?.message || String(problem);
  store.changed("session");
}
addEventListener("error", ({ error, message }) => showFault(error ?? message));
addEventListener("unhandledrejection", ({ reason }) => showFault(reason));
store.watch(["settings"], showTheme);
store.watch(["unread", "route", "network", "rooms"], showTitle);
document.addEventListener("visibilitychange", () => !document.hidden && open.key && markRead(open.key));
setInterval(() => store.changed("activity"), TICK_MS);
showTheme();
startRouter();
Q(html`<${Shell} />`, document.getElementById("app"));
start();
