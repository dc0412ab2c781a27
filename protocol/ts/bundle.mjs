// What both front ends' builds do to their sources, and to those of this package, before they bundle
// them: from TypeScript to TypeScript, so that less is sent.
//
// Lives here: classes as closures, and what only others than a page in a browser need. Not here: what
// one front end alone leaves out (its own `build.mjs`).

/**
 * What exactly is wrong with bytes is for tests; the connection is dropped whatever it is. No client writes a
 * float, a map, a number below zero or an event message, and none reads one but to pass over it;
 * and both front ends are always in a page.
 */
export function forPages(text) {
  return text
    .replaceAll(/new (?:Msgpack|Frame)Error\(['`][^)]*['`]\)/g, 'Error()')
    .replaceAll(/, name(?:: string)?(?=\))/g, '')
    .replaceAll(/wrong\(name\)/g, 'Error()')
    .replace(/const text = [^]*?\n {2}\};/, 'const text = (length) => textOf.decode(take(length));')
    .replace(/const map = [^]*?\n {2}\};/, 'const map = (pairs, depth) => array(2 * pairs, depth);')
    .replaceAll(/new DataView\(take\((\d)\)\S+/g, (_, bytes) => `extension(${bytes - 1});`)
    // What is only written goes by its code.
    .replaceAll(/(CLIENT_\w+: .*\n {2}code: \d+), word: '[\w-]+'/g, '$1')
    .replaceAll(/\/\/ for others: begin[^]*?\/\/ for others: end/g, '');
}

/** The sources that have such parts. */
export const FOR_PAGES = /\/protocol\/ts\/src\/(?:wire\/(?:codec|frames|msgpack|socket)|state\/transcript)\.ts$/;

/**
 * Classes as closures: a variable has one letter in what is sent, where `this.#name` has seven, some
 * thousand times. `new` works as before, and whoever holds the object sees the same members; it is only
 * no instance of the class any more. A class without private members stays one. `ts` is the compiler
 * of whoever builds.
 */
export function closuresBy(ts) {
  const isOwn = (node) => ts.isPropertyAccessExpression(node) && node.expression.kind === ts.SyntaxKind.ThisKeyword;
  const isAccessor = (member) => ts.isGetAccessor(member) || ts.isSetAccessor(member);

  function closure(one) {
    const members = one.members.filter(({ name }) => name !== undefined);
    const constructor = one.members.find(ts.isConstructorDeclaration);
    const accessors = new Set(members.filter(isAccessor).map(({ name }) => name.text));
    /** A member as it is called inside. */
    const inside = (name) => (accessors.has(name) ? `self.${name}` : name.startsWith('#') ? `_${name.slice(1)}` : `$${name}`);
    const methods = new Map(one.members.filter(ts.isMethodDeclaration).map(({ name, parameters }) => [name.text, parameters.length]));
    /** What `(a, b) => this.method(a, b)` calls, and no more than calls. */
    const handed = ({ parameters, body }) => {
      if (!body || !ts.isCallExpression(body) || !isOwn(body.expression) || body.arguments.length !== parameters.length) return undefined;
      const same = parameters.every(({ name }, place) => name.getText() === body.arguments[place].getText());
      return same && methods.get(body.expression.name.text) === parameters.length ? inside(body.expression.name.text) : undefined;
    };
    /** The source of a node, with the members of `this` in it as what they have become. */
    const source = (node) => {
      const edits = [];
      const visit = (part) => {
        const method = ts.isArrowFunction(part) && handed(part);
        if (method) edits.push([part.getStart(), part.end, method]);
        else if (isOwn(part)) edits.push([part.getStart(), part.end, inside(part.name.text)]);
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
      if (isAccessor(member)) {
        shown.push(`${ts.isGetAccessor(member) ? 'get' : 'set'} ${name}(${list(member.parameters)}) ${source(body)}`);
        continue;
      }
      const isAsync = member.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.AsyncKeyword) ? 'async ' : '';
      const types = member.typeParameters ? `<${list(member.typeParameters)}>` : '';
      if (body) functions.unshift(`const ${inside(name)} = ${isAsync}${types}${called(member)} => ${source(body)};`);
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

  const closures = (text) => {
    const { statements } = ts.createSourceFile('class.ts', text, ts.ScriptTarget.ES2022, true);
    const isPrivate = ({ name }) => name !== undefined && ts.isPrivateIdentifier(name);
    // From the end, so that what is before keeps its place.
    return statements.filter((one) => ts.isClassDeclaration(one) && one.members.some(isPrivate)).reverse()
      .reduce((made, one) => made.slice(0, one.getStart()) + closure(one) + made.slice(one.end), text);
  };

  return closures;
}
