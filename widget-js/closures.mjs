// Classes as closures, for what is sent: a variable has one letter there, where `this.#name` has seven, some thousand times.
//
// Lives here: the one rewriting, from TypeScript to TypeScript. `new` works as before, and whoever holds the object sees the same
// members; it is only no instance of the class any more. A class without private members stays one.

import ts from 'typescript';

export function closures(text) {
  const { statements } = ts.createSourceFile('class.ts', text, ts.ScriptTarget.ES2022, true);
  const is_private = ({ name }) => name !== undefined && ts.isPrivateIdentifier(name);
  // From the end, so that what is before keeps its place.
  return statements.filter((one) => ts.isClassDeclaration(one) && one.members.some(is_private)).reverse()
    .reduce((made, one) => made.slice(0, one.getStart()) + closure(one) + made.slice(one.end), text);
}

const is_own = (node) => ts.isPropertyAccessExpression(node) && node.expression.kind === ts.SyntaxKind.ThisKeyword;
const is_accessor = (member) => ts.isGetAccessor(member) || ts.isSetAccessor(member);

function closure(one) {
  const members = one.members.filter(({ name }) => name !== undefined);
  const constructor = one.members.find(ts.isConstructorDeclaration);
  const accessors = new Set(members.filter(is_accessor).map(({ name }) => name.text));
  /** A member as it is called inside. */
  const inside = (name) => (accessors.has(name) ? `self.${name}` : name.startsWith('#') ? `_${name.slice(1)}` : `$${name}`);
  const methods = new Map(one.members.filter(ts.isMethodDeclaration).map(({ name, parameters }) => [name.text, parameters.length]));
  /** What `(a, b) => this.method(a, b)` calls, and no more than calls. */
  const handed = ({ parameters, body }) => {
    if (!body || !ts.isCallExpression(body) || !is_own(body.expression) || body.arguments.length !== parameters.length) return undefined;
    const same = parameters.every(({ name }, place) => name.getText() === body.arguments[place].getText());
    return same && methods.get(body.expression.name.text) === parameters.length ? inside(body.expression.name.text) : undefined;
  };
  /** The source of a node, with the members of `this` in it as what they have become. */
  const source = (node) => {
    const edits = [];
    const visit = (part) => {
      const method = ts.isArrowFunction(part) && handed(part);
      if (method) edits.push([part.getStart(), part.end, method]);
      else if (is_own(part)) edits.push([part.getStart(), part.end, inside(part.name.text)]);
      else if (part.kind === ts.SyntaxKind.ThisKeyword) throw new Error(`${one.name.text} gives itself away: ${part.parent.getText()}`);
      else ts.forEachChild(part, visit);
    };
    visit(node);
    const start = node.getStart();
    return edits.reverse().reduce((made, [from, to, by]) => made.slice(0, from - start) + by + made.slice(to - start), node.getText());
  };
  const list = (nodes) => nodes.map(source).join();
  const called = (member) => `(${list(member.parameters)}) ${member.type ? `: ${source(member.type)}` : ''}`;

  // Variables first: terser believes that what is written to one before its own line is not written.
  const variables = [];
  const functions = [];
  const shown = [];
  for (const member of members) {
    const { name: { text: name }, initializer, body } = member;
    if (is_accessor(member)) {
      shown.push(`${ts.isGetAccessor(member) ? 'get' : 'set'} ${name}(${list(member.parameters)}) ${source(body)}`);
      continue;
    }
    const is_async = member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword) ? 'async ' : '';
    const types = member.typeParameters ? `<${list(member.typeParameters)}>` : '';
    if (body) functions.unshift(`const ${inside(name)} = ${is_async}${types}${called(member)} => ${source(body)};`);
    else (initializer && ts.isArrowFunction(initializer) ? functions : variables).push(`let ${inside(name)}${initializer ? ` = ${source(initializer)}` : ''};`);
    if (name.startsWith('#')) continue;
    const fixed = body || member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ReadonlyKeyword);
    if (fixed && (body || initializer)) shown.push(`${name}: ${inside(name)}`);
    else shown.push(`get ${name}() { return ${inside(name)}; }`);
    if (!fixed) shown.push(`set ${name}(value) { ${inside(name)} = value; }`);
  }
  const exported = one.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ? 'export ' : '';
  const made = constructor ? constructor.body.statements.map(source).join('\n') : '';
  return `${exported}function ${one.name.text}(${constructor ? list(constructor.parameters) : ''}) {
${variables.join('\n')}
${functions.join('\n')}
const self = { ${shown.join(', ')} };
${made}
return self;
}`;
}
