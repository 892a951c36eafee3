"""The things a run of hours on a processor learns: what people ask a drawing model for first, and each unlike the others."""

from __future__ import annotations

# Near-doubles (dog and dog face) are left out: one of them is enough to ask for.
_NAMES = """
dog face, cat face, lion, tiger face, unicorn, cow face, pig face, rabbit face, bear, koala, panda, monkey face,
fox, horse, elephant, giraffe, zebra, bird, chicken, baby chick, penguin, duck, owl, flamingo, frog, turtle, snake,
t rex, whale, dolphin, fish, shark, octopus, crab, snail, honeybee, lady beetle, butterfly, spider, rose, sunflower,
tulip, evergreen tree, palm tree, cactus, four leaf clover, maple leaf, mushroom, grapes, watermelon, lemon, banana,
pineapple, red apple, pear, cherries, strawberry, tomato, eggplant, carrot, ear of corn, hot pepper, avocado,
broccoli, bread, croissant, cheese wedge, hamburger, french fries, pizza, hot dog, taco, egg, sushi, popcorn,
doughnut, cookie, birthday cake, cupcake, ice cream, lollipop, hot beverage, teapot, wine glass, beer mug, mountain,
volcano, house, castle, tent, locomotive, bus, ambulance, fire engine, police car, taxi, automobile, tractor,
bicycle, motorcycle, sailboat, airplane, helicopter, rocket, flying saucer, anchor, sun, crescent moon, star, cloud,
rainbow, umbrella, snowflake, snowman, fire, droplet, ringed planet, christmas tree, jack o lantern, balloon,
wrapped gift, soccer ball, basketball, game die, teddy bear, crystal ball, crown, top hat, t shirt, dress, backpack,
glasses, ring, gem stone, bell, guitar, drum, telephone, laptop, television, camera, candle, light bulb, open book,
envelope, pencil, scissors, locked, key, hammer, bomb, shield, magnet, chair, door, smiling face with smiling eyes,
smiling face with sunglasses, smiling face with heart eyes, angry face, skull, ghost, alien monster, robot, red
heart, blue heart, broken heart, thought balloon
"""
COMMON = tuple(_NAMES.replace("\n", " ").strip().split(", "))
