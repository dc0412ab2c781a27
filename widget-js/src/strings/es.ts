// Spanish. The same texts as `en.ts`, in the same order.

import type { Events, Reasons } from './en.ts';

export const close = 'Cerrar el chat';
export const title = 'Hable con nosotros';
export const greeting = '¡Hola! ¿En qué podemos ayudarle?';
export const offline =
  'Ahora mismo no hay nadie. Déjenos un mensaje y le responderemos en cuanto volvamos.';
export const availability = {
  available: 'Estamos aquí para ayudarle',
  busy: 'Todos los agentes están ocupados; puede tardar un poco',
  unavailable: 'Déjenos un mensaje',
};
export const withAgent = 'Está con usted';
export const name = 'Su nombre';
export const email = 'Su correo electrónico';
export const optional = 'opcional';
export const privacy = 'Aviso de privacidad';
export const message = 'Su mensaje';
export const placeholder = 'Escriba un mensaje…';
export const send = 'Enviar';
export const messages = 'Mensajes';
export const earlier = 'Mensajes anteriores';
export const newer = 'Mensaje nuevo';
export const unreadMessages = (count: number) =>
  count === 1 ? 'un mensaje sin leer' : `${count} mensajes sin leer`;
export const progress = {
  sending: 'Enviando…',
  sent: 'Enviado',
  delivered: 'Entregado',
  seen: 'Leído',
};
export const waitingForConnection = 'Esperando la conexión';
export const failed = (why: string) => `No enviado: ${why}`;
export const retry = 'Reintentar';
export const discard = 'Eliminar';
export const you = 'Usted';
export const someone = 'Soporte';
export const bot = 'Asistente';
export const isTyping = (name: string) => `${name} está escribiendo…`;
export const reconnecting = 'Se ha perdido la conexión. Intentamos recuperarla…';
export const stopped = 'No se puede acceder al chat desde esta página.';
export const blocked = 'El chat no tiene conexión. Quizá la impida la red o un bloqueador.';
export const tooLong = (count: number, max: number) =>
  `Demasiado largo: ${count} de ${max} caracteres. Acórtelo, por favor.`;
export const queue = (position: number) =>
  position === 1 ? 'Es usted el siguiente.' : `Es usted el número ${position} de la cola.`;
export const queueWait = (minutes: number) =>
  minutes <= 1 ? 'Alrededor de un minuto de espera.' : `Alrededor de ${minutes} minutos de espera.`;
export const offered = 'Le estamos pasando con un agente…';
export const left = 'Gracias. Tenemos su mensaje y le responderemos aquí.';
export const refused = (why: string) => `No se pudo iniciar la conversación: ${why}`;
export const full = 'Hay demasiados mensajes por enviar. Espere a estar de nuevo en línea.';
export const reasons: Reasons = {
  'too-long': 'es demasiado largo. Envíelo por partes.',
  'limit-reached': 'ya hay demasiados. Espere un poco y vuelva a intentarlo.',
  'site-closed': 'este chat está cerrado.',
  closed: 'la conversación ha terminado. Empiece otra.',
  'not-found': 'la conversación ya no existe. Reinténtelo para empezar otra.',
  other: 'el servidor no lo ha aceptado. Reinténtelo o dígalo de otra forma.',
};
export const end = 'Terminar la conversación';
export const endQuestion = '¿Terminar esta conversación?';
export const endYes = 'Terminar';
export const endNo = 'Seguir';
export const closed = 'Esta conversación ha terminado. Escriba para reabrirla.';
export const anew = 'Empezar otra';
export const events: Events = {
  assigned: (name) => `${name} se ha unido a la conversación`,
  requeued: (_, next) =>
    `Nuestro agente ya no está disponible.${next ? ' Vuelve a estar al principio de la cola.' : ''}`,
  transferred: (name) => `${name} se ha hecho cargo de la conversación`,
  closed: () => 'La conversación se ha cerrado',
  reopened: () => 'La conversación se ha reabierto',
  abandoned: () => 'La conversación se ha cerrado porque nadie ha escrito en mucho tiempo',
  unknown: () => 'Ha ocurrido algo que esta versión del chat no puede mostrar',
};
